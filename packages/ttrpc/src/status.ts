// SPDX-License-Identifier: Apache-2.0
// Status codes, and the rule by which whatever a handler throws becomes a status a peer may read. No frames here.
import { codeOf } from '@peerpod-tls/base';
import { StatusError } from './errors.js';
import type { StatusDetail } from './errors.js';
import { MAX_MESSAGE_LENGTH } from './frame.js';

/** The status codes of gRPC, which ttrpc shares. */
export const StatusCode = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;
export type StatusCode = (typeof StatusCode)[keyof typeof StatusCode];

/** Longest status message sent, in characters; a peer has no use for more of a foreign error's text. */
const MAX_MESSAGE_CHARACTERS = 4096;

/** The system errors Go's server maps to a code of their own; all others are Unknown there as here. */
const systemErrors: Readonly<Record<string, number>> = {
  ENOENT: StatusCode.notFound,
  EEXIST: StatusCode.alreadyExists,
  ENOTEMPTY: StatusCode.alreadyExists,
  EACCES: StatusCode.permissionDenied,
  EPERM: StatusCode.permissionDenied,
};

/**
 * The status for something a handler threw. Never throws itself, whatever it is given.
 *
 * @param thrown What was thrown: a StatusError answers with its own status, an error Node raised for a system
 *   call with the code Go maps it to, any other Error with Unknown and its message, anything else with Internal.
 * @param reason Why the call was aborted, if it was; an AbortError of the handler then stands for this reason.
 */
export function statusOfThrown(thrown: unknown, reason?: StatusError): StatusError {
  try {
    if (isStatusError(thrown)) {
      const status =
        Number.isInteger(thrown.status) && thrown.status > 0 && thrown.status <= 0x7fffffff
          ? thrown.status
          : StatusCode.unknown;
      return new StatusError(status, tidy(thrown.message), {
        details: Array.isArray(thrown.details) ? thrown.details.filter(isDetail) : [],
      });
    }
    if (thrown instanceof Error) {
      if (reason !== undefined && thrown.name === 'AbortError') return reason;
      const code = codeOf(thrown);
      const status = Object.hasOwn(systemErrors, code) ? systemErrors[code] : undefined;
      return new StatusError(status ?? StatusCode.unknown, tidy(thrown.message));
    }
  } catch {
    // A getter of a hostile or broken error object threw; the fallback below says all that is known.
  }
  return new StatusError(StatusCode.internal, 'the handler threw something that is not an error');
}

/** Whether a handler threw a status; by shape, as the class may have been loaded twice. Never throws. */
export function isStatusError(value: unknown): value is StatusError {
  try {
    if (!(value instanceof Error) || !('code' in value) || !('status' in value)) return false;
    return value.code === 'ERR_TTRPC_STATUS' && typeof value.status === 'number';
  } catch {
    return false;
  }
}

/** What a handler in plain JavaScript puts into details may be anything. */
function isDetail(value: unknown): value is StatusDetail {
  if (typeof value !== 'object' || value === null || !('typeUrl' in value) || !('value' in value))
    return false;
  return typeof value.typeUrl === 'string' && value.value instanceof Uint8Array;
}

function tidy(message: unknown): string {
  const text = typeof message === 'string' ? message : 'no message';
  return text.length <= MAX_MESSAGE_CHARACTERS ? text : `${text.slice(0, MAX_MESSAGE_CHARACTERS)}…`;
}

/** The status for a message that fits no frame, in the words of Go's ttrpc. */
export function oversizedStatus(bytes: number): StatusError {
  const text = `message length ${bytes} exceed maximum message size of ${MAX_MESSAGE_LENGTH}`;
  return new StatusError(StatusCode.resourceExhausted, text);
}

/** Where a handler failed, for the log. Never throws, which a getter of a foreign error may. */
export function stackOf(error: unknown): string | undefined {
  try {
    return error instanceof Error && typeof error.stack === 'string' ? error.stack : undefined;
  } catch {
    return undefined;
  }
}
