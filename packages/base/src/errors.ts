// SPDX-License-Identifier: Apache-2.0
// The shape every error of ours has, the closed list of codes of this package, and how the code and the words of
// anything that was thrown are read. What the codes of other packages mean is theirs.

export interface ErrorDetails {
  /** The way out, as a sentence of its own. */
  readonly hint?: string | undefined;
  /** What was caught when this was thrown. */
  readonly cause?: unknown;
}

/** An error with a code from its package's closed list: `message` is the fact, `hint` the way out. Branch on `code`. */
export class CodedError<Code extends string> extends Error {
  readonly code: Code;
  readonly hint: string | undefined;

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint;
  }
}

export type FileErrorCode =
  | 'ERR_FILE_DISK_FULL'
  | 'ERR_FILE_MISSING'
  | 'ERR_FILE_NOT_REGULAR'
  | 'ERR_FILE_TOO_BIG'
  | 'ERR_FILE_UNREADABLE'
  | 'ERR_FILE_UNSAFE_PATH'
  | 'ERR_FILE_WRITE_FAILED';

/** A file or directory that could not be read or written. */
export class FileError extends CodedError<FileErrorCode> {}

/** The `code` of anything that was thrown, or an empty string: errors are told apart by code, never by class. */
export function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}

/** The way out that anything that was thrown brings with it, if it does. */
export function hintOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'hint' in error && typeof error.hint === 'string'
    ? error.hint
    : undefined;
}

/** The words of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** How far a chain of causes is followed. */
const LONGEST_CHAIN = 3;

/** The words of anything that was thrown on one line, with up to two causes behind them where they say more. */
export function reasonOf(error: unknown): string {
  const parts: string[] = [];
  let at: unknown = error;
  for (let depth = 0; depth < LONGEST_CHAIN && at !== undefined && at !== null; depth += 1) {
    const line = messageOf(at)
      .replaceAll(/\s*\n\s*/g, ' ')
      .trim();
    if (line !== '' && !parts.some(part => part.includes(line))) parts.push(line);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(': ') || 'no reason given';
}
