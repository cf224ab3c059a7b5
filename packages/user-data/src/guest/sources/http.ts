// SPDX-License-Identifier: Apache-2.0
// One request to a metadata service, with every limit it needs: time, size, no redirect, no proxy, no kept connection.
// What is asked, and whether to ask again, is for others.
import { request, type IncomingMessage } from 'node:http';
import { codeOf, deadline } from '@peerpod-tls/base';
import { UserDataError } from '../../errors.js';

/** From connecting to the last byte, in milliseconds. Services on the link answer in a few; a hung one is asked again. */
const REQUEST_TIMEOUT_MS = 5_000;

export interface Question {
  readonly method: 'GET' | 'PUT';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Largest answer, in bytes. */
  readonly maxBytes: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** A try that failed in a way that may pass: the network is still coming up, the service is busy. */
export class NotYet extends Error {}

/**
 * Asks once. The proxies of the environment are not used: the answer holds keys.
 *
 * @param base - `http://host:port`
 * @throws NotYet when there was no complete answer; UserDataError `ERR_USER_DATA_TOO_LARGE`; the signal's reason
 */
export async function ask(
  base: URL,
  question: Question,
  signal: AbortSignal,
  timeoutMs = REQUEST_TIMEOUT_MS,
): Promise<Answer> {
  using limit = deadline(timeoutMs, signal);
  try {
    return await exchange(base, question, limit);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (cause instanceof UserDataError) throw cause;
    if (limit.aborted) throw new NotYet(`did not answer within ${timeoutMs / 1000} s`, { cause });
    const code = codeOf(cause) || 'unknown error';
    throw new NotYet(
      code.startsWith('HPE_')
        ? `did not speak HTTP (${code})`
        : `could not be reached, or cut its answer (${code})`,
      { cause },
    );
  }
}

function exchange(base: URL, question: Question, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(new URL(question.path, base), {
      method: question.method,
      headers: { ...question.headers, connection: 'close', 'accept-encoding': 'identity' },
      agent: false,
      signal,
    });
    asked.on('error', reject);
    asked.on('response', response => {
      // Answers are taken one way or the other; an error after this is an error of the answer.
      response.on('error', reject);
      collect(response, question.maxBytes).then(resolve, (error: unknown) => {
        asked.destroy();
        reject(error);
      });
    });
    asked.end();
  });
}

async function collect(response: IncomingMessage, maxBytes: number): Promise<Answer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const tooLarge = (): UserDataError =>
    new UserDataError('ERR_USER_DATA_TOO_LARGE', `the answer has more than ${maxBytes} bytes`);
  if (Number(response.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}
