// SPDX-License-Identifier: Apache-2.0
// A wrong command line, in the daemon package's own error, so that every program of the project reports it alike.
import { UsageError } from '@peerpod-tls/daemon/terminal';

/** The error for a wrong command line: exit code 2, the fact on one line, the way out on the next. */
export function usageError(message: string, hint: string): UsageError {
  return new UsageError(message, hint);
}
