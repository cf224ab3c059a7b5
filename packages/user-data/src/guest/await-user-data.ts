// SPDX-License-Identifier: Apache-2.0
// Waiting for user-data, with a limit over all tries and the last trouble in the message when it has passed.
import { deadline } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { UserDataError } from '../errors.js';
import type { UserDataSource } from './sources/source.js';

/**
 * The bytes of the user-data.
 *
 * @throws UserDataError of the source, or `ERR_USER_DATA_TIMEOUT`; the signal's reason when it aborts
 */
export async function awaitUserData(
  source: UserDataSource,
  o: { readonly log: Logger; readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<Uint8Array> {
  const { log, signal, timeoutMs } = o;
  using limit = deadline(timeoutMs, signal);
  let tries = 0;
  let last = '';
  try {
    return await source.read(limit, trouble => {
      tries += 1;
      // A service that is down for minutes says the same each time.
      log[trouble === last ? 'debug' : 'warn'](
        { source: source.describe, trouble, tries },
        'user-data not had yet',
      );
      last = trouble;
    });
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (!limit.aborted || cause instanceof UserDataError) throw cause;
    throw new UserDataError(
      'ERR_USER_DATA_TIMEOUT',
      `no user-data came from ${source.describe} within ${timeoutMs / 1000} s${last === '' ? '' : `; at last ${last}`}`,
      { hint: 'check that the provider handed it over; -user-data-fetch-timeout allows more time' },
    );
  }
}

/** @throws UserDataError `ERR_USER_DATA_FORMAT` */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserDataError('ERR_USER_DATA_FORMAT', 'the user-data is not UTF-8 text', {
      hint: 'the source may hand it out compressed or encoded',
    });
  }
}
