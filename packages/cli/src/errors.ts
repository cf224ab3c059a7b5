// SPDX-License-Identifier: Apache-2.0
// The one error class of the terminal program. Wrong flags and words are the daemon package's UsageError.

export type CliErrorCode =
  | 'ERR_CLI_ADAPTOR_DIED'
  | 'ERR_CLI_ADAPTOR_SILENT'
  | 'ERR_CLI_AGENT_UNREACHABLE'
  | 'ERR_CLI_BAD_INPUT'
  | 'ERR_CLI_CALL_FAILED'
  | 'ERR_CLI_EXISTS'
  | 'ERR_CLI_HYPERVISOR_UNREACHABLE'
  | 'ERR_CLI_NO_COMMAND'
  | 'ERR_CLI_STATUS_ANSWER'
  | 'ERR_CLI_STATUS_UNREACHABLE';

/** A failure of a `peerpod` command: `message` is the fact, `hint` the way out. */
export class CliError extends Error {
  readonly code: CliErrorCode;
  readonly hint: string | undefined;

  constructor(code: CliErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CliError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** The `code` of any thrown value, or undefined: errors are told apart by code, never by class. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The words of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether a failure is only that nobody reads our output any more. */
export const isBrokenPipe = (error: unknown): boolean => codeOf(error) === 'EPIPE';
