// SPDX-License-Identifier: Apache-2.0
// What the outcome of a call on an adaptor means for its caller, and the words in which a caller is told that there was
// nobody to ask. No sockets.
import { codeOf, reasonOf } from '@peerpod-tls/base';
import { formatDuration } from '@peerpod-tls/daemon';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';

/** What ttrpc's server, and an adaptor, answer while they close: whoever said it does not work on the call. */
const CLOSING: ReadonlySet<string> = new Set(['ttrpc: server closed', 'the adaptor is shutting down']);

/** Whether the adaptor is gone, or going, without having answered. */
export function isGone(error: unknown): boolean {
  const code = codeOf(error);
  if (code === 'ERR_TTRPC_CLOSED' || code === 'ERR_TTRPC_CONNECT') return true;
  return (
    error instanceof StatusError && error.status === StatusCode.unavailable && CLOSING.has(error.message)
  );
}

/** What a caller is told of a failed call: a status as it is; anything else is a fault between proxy and adaptor. */
export function statusFor(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  return new StatusError(
    StatusCode.unavailable,
    `cloud-api-adaptor gave no answer that can be passed on: ${reasonOf(error)}`,
    { cause: error },
  );
}

export function nobodyThere(call: string): StatusError {
  return new StatusError(
    StatusCode.unavailable,
    `no cloud-api-adaptor is running on this node, which ${call} needs (start it; running pods are served without it)`,
  );
}

export function nobodyCame(call: string, ms: number): StatusError {
  return new StatusError(
    StatusCode.unavailable,
    `no cloud-api-adaptor has come up on this node: ${call} waited ${formatDuration(ms)} for one (start it; running pods are served without it)`,
  );
}

export function diedOver(call: string): StatusError {
  return new StatusError(
    StatusCode.unavailable,
    `cloud-api-adaptor ended before it answered ${call} (whether it was carried out is not known)`,
  );
}
