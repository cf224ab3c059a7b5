// SPDX-License-Identifier: Apache-2.0
// Errors as messages and back: code, words, way out, refusal and causes stay; the class and the stack do not.
import { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import { plainError, revivedError, type PlainError } from '../plain-error.js';

type Failure = peerpod.proxy.v1.Failure;

/** Causes beyond are left out, whoever made the message. */
const LONGEST_CHAIN = 4;

export function failureMessage(error: unknown): Failure {
  return messageOfPlain(plainError(error));
}

/** The error again, told apart by its code as before. */
export function errorOfFailure(failure: peerpod.proxy.v1.Failure.$Properties): Error {
  return revivedError(plainOf(failure, 0));
}

function messageOfPlain(plain: PlainError): Failure {
  const { name, message, code, hint, permanent, refusal, cause } = plain;
  return new peerpod.proxy.v1.Failure({
    name,
    message,
    code,
    hint: hint ?? '',
    permanent,
    refusalJson: refusal === undefined ? '' : JSON.stringify(refusal),
    ...(cause === null ? {} : { cause: messageOfPlain(cause) }),
  });
}

function plainOf(failure: peerpod.proxy.v1.Failure.$Properties, depth: number): PlainError {
  const { cause } = failure;
  const hint = failure.hint ?? '';
  return {
    t: 'error',
    name: failure.name || 'Error',
    message: failure.message ?? '',
    stack: undefined,
    code: failure.code ?? '',
    hint: hint === '' ? undefined : hint,
    permanent: failure.permanent ?? false,
    refusal: parsed(failure.refusalJson ?? ''),
    cause: cause === undefined || cause === null || depth >= LONGEST_CHAIN ? null : plainOf(cause, depth + 1),
  };
}

function parsed(json: string): unknown {
  if (json === '') return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
