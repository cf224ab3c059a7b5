// SPDX-License-Identifier: Apache-2.0
// How an error becomes words and an exit code. The only place that maps errors to codes.
import { reportError } from '@peerpod-tls/daemon/terminal';
import { ExitCode, type Io } from './io.js';
import { codeOf } from '@peerpod-tls/base';
import { isBrokenPipe } from './errors.js';

/** Says what went wrong, once, and chooses the exit code. */
export function report(io: Io, program: string, error: unknown): number {
  // Whoever read our output has gone away; there is nobody to tell.
  if (isBrokenPipe(error)) return ExitCode.hangup;
  reportError(io.stderr, program, error);
  return codeOf(error) === 'ERR_USAGE' ? ExitCode.usage : ExitCode.failed;
}
