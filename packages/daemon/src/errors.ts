// SPDX-License-Identifier: Apache-2.0
// The errors this package raises. Callers branch on `code`; `hint` is the way out, on a line of its own.
import { CodedError } from '@peerpod-tls/base';

/** Every code a {@link DaemonError} or {@link UsageError} can carry. */
export type DaemonErrorCode =
  | 'ERR_USAGE'
  | 'ERR_SOCKET_IN_USE'
  | 'ERR_SOCKET_NOT_A_SOCKET'
  | 'ERR_SOCKET_PATH'
  | 'ERR_SOCKET_DIRECTORY'
  | 'ERR_SOCKET_LISTEN'
  | 'ERR_STATUS_LISTEN'
  | 'ERR_STATUS_TIMEOUT'
  | 'ERR_READY_ENDED'
  | 'ERR_DAEMON_CLOSE';

/** Something between this process and its operating system went wrong. */
export class DaemonError extends CodedError<DaemonErrorCode> {}

/** A flag or an environment variable has a value that cannot be meant. Thrown before anything opens. */
export class UsageError extends DaemonError {
  constructor(message: string, hint?: string) {
    super('ERR_USAGE', message, { hint });
  }
}

/**
 * Whether an error is one that nobody foresaw, so that its stack is worth showing: it has no code, or Node.js raised it
 * because we called something wrongly.
 */
export function isUnforeseen(error: Error): boolean {
  const { code, hint } = error as { code?: unknown; hint?: unknown };
  if (typeof code !== 'string') return true;
  return (
    hint === undefined &&
    code.startsWith('ERR_') &&
    (error instanceof TypeError || error instanceof RangeError)
  );
}
