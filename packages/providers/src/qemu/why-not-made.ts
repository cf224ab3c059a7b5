// SPDX-License-Identifier: Apache-2.0
// Why a virtual machine was not made: from what was thrown, what it said and the disk it lives on. Looks, changes nothing.
import { messageOf } from '@peerpod-tls/base';
import { ProviderError, type ProviderErrorCode } from '../errors.js';
import { freeSpaceAt, fullDisk, isFull, usedUp } from '../host/free-space.js';

export interface Failing {
  readonly cause: unknown;
  /** The caller gave up: whatever was thrown then is no news. */
  readonly givenUp: boolean;
  /** The last words of qemu and of the guest; empty where there are none. */
  readonly console: string;
  readonly dataDir: string;
  readonly bootTimeoutMs: number;
}

export interface Failure {
  readonly code: ProviderErrorCode;
  readonly text: string;
  readonly hint: string | undefined;
}

/** Has to look before the machine is taken away: with it goes what filled the disk. */
export async function whyNotMade(o: Failing): Promise<Failure> {
  const hint = o.console === '' ? undefined : `its console ended with:\n${o.console}`;
  if (o.givenUp) return { code: 'ERR_PROVIDER_ABORTED', text: 'the request was given up', hint };
  const timedOut = o.cause instanceof Error && o.cause.name === 'TimeoutError';
  const text = timedOut
    ? `it had no address within ${o.bootTimeoutMs / 1000} s (-boot-timeout)`
    : messageOf(o.cause);
  // qemu keeps a guest's changes there, too, and what it cannot write is no error of ours.
  const thrown = usedUp(o.cause);
  if (thrown !== null || isFull(await freeSpaceAt(o.dataDir))) {
    const full = await fullDisk(o.dataDir, thrown ?? 'disk');
    return {
      code: full.code,
      text: thrown === null ? `${full.message}, and ${text}` : full.message,
      hint: hint === undefined ? full.hint : `${full.hint}; ${hint}`,
    };
  }
  if (!(o.cause instanceof ProviderError)) return { code: 'ERR_PROVIDER_CREATE', text, hint };
  return { code: o.cause.code, text, hint: o.cause.hint ?? hint };
}
