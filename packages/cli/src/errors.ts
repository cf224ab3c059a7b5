// SPDX-License-Identifier: Apache-2.0
// The one error class of the terminal program. Wrong flags and words are the daemon package's UsageError.
import { CodedError, codeOf } from '@peerpod-tls/base';

export type CliErrorCode =
  | 'ERR_CLI_ADAPTOR_DIED'
  | 'ERR_CLI_ADAPTOR_SILENT'
  | 'ERR_CLI_AGENT_UNREACHABLE'
  | 'ERR_CLI_BAD_INPUT'
  | 'ERR_CLI_CALL_FAILED'
  | 'ERR_CLI_EXISTS'
  | 'ERR_CLI_HYPERVISOR_UNREACHABLE'
  | 'ERR_CLI_NO_PROGRAM'
  | 'ERR_CLI_NO_PROXY'
  | 'ERR_CLI_NO_SANDBOX'
  | 'ERR_CLI_STATUS_ANSWER'
  | 'ERR_CLI_STATUS_UNREACHABLE';

/** A failure of a `peerpod` command: `message` is the fact, `hint` the way out. */
export class CliError extends CodedError<CliErrorCode> {}

/** Whether a failure is only that nobody reads our output any more. */
export const isBrokenPipe = (error: unknown): boolean => codeOf(error) === 'EPIPE';
