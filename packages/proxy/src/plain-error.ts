// SPDX-License-Identifier: Apache-2.0
// Errors between threads and processes: an Error that is cloned loses its code, hint and refusal, so they travel as fields.
import { codeOf, hintOf, messageOf } from '@peerpod-tls/base';

export interface PlainError {
  readonly t: 'error';
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string;
  readonly hint: string | undefined;
  readonly permanent: boolean;
  /** Plain data, as certs makes it. */
  readonly refusal: unknown;
  readonly cause: PlainError | null;
}

const LONGEST_CHAIN = 4;

export function plainError(error: unknown, depth = 0): PlainError {
  const { cause, permanent, refusal } = fieldsOf(error);
  return {
    t: 'error',
    name: error instanceof Error ? error.name : 'Error',
    message: messageOf(error),
    stack: error instanceof Error ? error.stack : undefined,
    code: codeOf(error),
    hint: hintOf(error),
    permanent: permanent === true,
    refusal,
    cause:
      cause === undefined || cause === null || depth >= LONGEST_CHAIN ? null : plainError(cause, depth + 1),
  };
}

/** The error again, told apart by its code as before; its class is not kept. */
export function revivedError(plain: PlainError): Error {
  const { name, message, stack, code, hint, permanent, refusal, cause } = plain;
  const error = new Error(message, cause === null ? undefined : { cause: revivedError(cause) });
  return Object.assign(error, {
    name,
    ...(stack === undefined ? {} : { stack }),
    ...(code === '' ? {} : { code }),
    ...(hint === undefined ? {} : { hint }),
    ...(permanent ? { permanent } : {}),
    ...(refusal === undefined ? {} : { refusal }),
  });
}

function fieldsOf(error: unknown): { cause?: unknown; permanent?: unknown; refusal?: unknown } {
  return typeof error === 'object' && error !== null ? error : {};
}
