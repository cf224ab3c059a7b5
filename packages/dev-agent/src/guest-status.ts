// SPDX-License-Identifier: Apache-2.0
// Refusals of the agent as ttrpc statuses. Messages and codes only.
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';

export const notFound = (text: string): StatusError => new StatusError(StatusCode.notFound, text);
export const alreadyExists = (text: string): StatusError => new StatusError(StatusCode.alreadyExists, text);
export const invalidArgument = (text: string): StatusError =>
  new StatusError(StatusCode.invalidArgument, text);
export const failedPrecondition = (text: string): StatusError =>
  new StatusError(StatusCode.failedPrecondition, text);
export const unimplemented = (text: string): StatusError => new StatusError(StatusCode.unimplemented, text);

/** The end of a process's output. Code and text are kata-agent's, which shims take for an end of file. */
export const endOfFile = (): StatusError => new StatusError(StatusCode.internal, 'read meet eof');

/** An operating system error as a status: what it means to the caller, with the system's own message. */
export function systemError(what: string, error: unknown): StatusError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const text = error instanceof Error ? error.message : String(error);
  return new StatusError(statusOf(code), `${what}: ${text}`, { cause: error });
}

function statusOf(code: unknown): number {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return StatusCode.notFound;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return StatusCode.permissionDenied;
    case 'EEXIST':
      return StatusCode.alreadyExists;
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EMFILE':
    case 'ENFILE':
    case 'EAGAIN':
    case 'ENOMEM':
      return StatusCode.resourceExhausted;
    case 'E2BIG':
    case 'ENOEXEC':
    case 'ENAMETOOLONG':
      return StatusCode.invalidArgument;
    default:
      return StatusCode.internal;
  }
}
