// SPDX-License-Identifier: Apache-2.0
// What a rewrite of a request comes to, and the two ways it can refuse. No bytes here.
import { MAX_MESSAGE_LENGTH, StatusCode } from '@peerpod-tls/ttrpc/relay';

/** The caller is answered with `status` and `reason` instead of having its request passed on. */
export interface Refused {
  readonly t: 'refused';
  /** A ttrpc status code. */
  readonly status: number;
  readonly reason: string;
}

/** Nothing to change, a new message, or a refusal. The input is never written to. */
export type RewriteResult =
  { readonly t: 'same' } | { readonly t: 'replaced'; readonly message: Uint8Array } | Refused;

export const same: RewriteResult = { t: 'same' };

export function invalid(reason: string): Refused {
  return { t: 'refused', status: StatusCode.invalidArgument, reason };
}

/**
 * The rewritten message, unless it no longer fits a frame. A message just under the limit may still be too long once
 * it is back in its envelope; who frames it has the last word.
 */
export function replaced(message: Uint8Array): RewriteResult {
  if (message.length <= MAX_MESSAGE_LENGTH) return { t: 'replaced', message };
  return {
    t: 'refused',
    status: StatusCode.resourceExhausted,
    reason: `the rewritten request would be ${message.length} bytes, over the limit of ${MAX_MESSAGE_LENGTH}`,
  };
}
