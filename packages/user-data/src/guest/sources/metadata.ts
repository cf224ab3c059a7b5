// SPDX-License-Identifier: Apache-2.0
// What the metadata services of all clouds share: asking again with growing pauses, and what their status codes mean.
// The questions are each cloud's own.
import { Backoff, sleep } from '@peerpod-tls/base';
import { decodeBase64 } from '../../base64.js';
import { MAX_USER_DATA_BYTES } from '../../cloud-config.js';
import { UserDataError } from '../../errors.js';
import { ask, NotYet, type Answer, type Question } from './http.js';
import type { UserDataSource } from './source.js';

export interface MetadataOptions {
  /** Asked instead of the cloud's own address, for tests and relays: `http://host:port`. */
  readonly endpoint?: URL | undefined;
  /** For one request, in milliseconds. Default 5,000. */
  readonly requestTimeoutMs?: number;
  /** The first pause between two tries, in milliseconds; doubled each time up to 5,000. Default 250. */
  readonly pauseMs?: number;
}

const LONGEST_PAUSE_MS = 5_000;

/** Asks the service one question, with this try's time limit. */
export type Asker = (question: Question) => Promise<Answer>;

interface Cloud {
  /** Like `the AWS metadata service`. */
  readonly name: string;
  readonly address: string;
  /** One try: the whole user-data, or NotYet, or a UserDataError when no try can succeed. */
  attempt(asker: Asker): Promise<Uint8Array>;
}

/** A source that tries until the user-data is there, or an answer shows that it never will be. */
export function metadataSource(cloud: Cloud, options: MetadataOptions): UserDataSource {
  const base = options.endpoint ?? new URL(cloud.address);
  const describe = `${cloud.name} (${base.host})`;
  return {
    describe,
    async read(signal, onTrouble) {
      const pauses = new Backoff({ firstMs: options.pauseMs ?? 250, longestMs: LONGEST_PAUSE_MS });
      for (;;) {
        signal.throwIfAborted();
        try {
          const bytes = await cloud.attempt(question =>
            ask(base, question, signal, options.requestTimeoutMs),
          );
          if (bytes.length === 0) throw new NotYet('gave an empty user-data');
          return bytes;
        } catch (error) {
          if (!(error instanceof NotYet)) throw named(describe, error);
          onTrouble?.(error.message);
        }
        await sleep(pauses.next(), signal);
      }
    },
  };
}

/** Errors of one answer do not know whose it was. */
function named(describe: string, error: unknown): unknown {
  if (!(error instanceof UserDataError)) return error;
  return new UserDataError(error.code, `${describe}: ${error.message}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    cause: error.cause,
  });
}

/** The user-data as it is. */
export const readUserData = { maxBytes: MAX_USER_DATA_BYTES } as const;
/** The user-data in base64, with its line breaks. */
export const readEncodedUserData = { maxBytes: Math.ceil(MAX_USER_DATA_BYTES * 1.4) } as const;

/**
 * The body of a 200.
 *
 * @throws NotYet for what may pass: 404 (set late, or never), 408, 425, 429, 5xx. UserDataError for the rest.
 */
export function bodyOf({ status, body, headers }: Answer, what: string): Buffer {
  if (status === 200) {
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding === 'identity') return body;
    throw refused(`${what}: the answer is encoded, which was not asked for`);
  }
  if (status >= 300 && status < 400)
    throw refused(
      `${what}: answered with a redirect (${status}), which is not followed`,
      'a metadata service never does that; something else has its address',
    );
  if (status === 404) throw new NotYet(`${what}: answered 404, the VM has no user-data or not yet`);
  if (status >= 500 || status === 408 || status === 425 || status === 429)
    throw new NotYet(`${what}: answered ${status}`);
  throw refused(`${what}: answered ${status}`);
}

/** @throws UserDataError `ERR_USER_DATA_FORMAT` */
export function decodeUserData(body: Buffer): Buffer {
  const bytes = decodeBase64(body.toString('latin1'));
  if (bytes !== null) return bytes;
  throw new UserDataError('ERR_USER_DATA_FORMAT', 'the user-data is not base64', {
    hint: 'this cloud is given base64 of the cloud-config; see whoever created the VM',
  });
}

export function refused(message: string, hint?: string): UserDataError {
  return new UserDataError('ERR_USER_DATA_SOURCE', message, hint === undefined ? {} : { hint });
}
