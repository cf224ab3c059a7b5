// SPDX-License-Identifier: Apache-2.0
// Why a local pod VM was not made: from what was thrown, the VM's console and the disk it lives on. Looks, changes nothing.
import { messageOf } from '@peerpod-tls/base';
import { lastLines } from '../host/last-lines.js';
import { condense, whyItEnded } from './console.js';
import { ProviderError, type ProviderErrorCode } from '../errors.js';
import { freeSpaceAt, isFull, noFreeSpace, usedUp, WAY_OUT, type FreeSpace } from '../host/free-space.js';

export interface Failing {
  readonly cause: unknown;
  /** The caller gave up: whatever was thrown then is no news. */
  readonly givenUp: boolean;
  /** The VM's programs ran: what ended them is told by their console, or not at all. */
  readonly started: boolean;
  /** The VM's console log, which need not be there. */
  readonly console: string;
  readonly dataDir: string;
  readonly bootTimeoutMs: number;
}

export interface Failure {
  readonly code: ProviderErrorCode;
  readonly text: string;
  readonly hint: string | undefined;
}

/** Has to look before the VM is taken away: with it go its console and what filled the disk. */
export async function whyNotMade(o: Failing): Promise<Failure> {
  const lines = await lastLines(o.console, 12);
  const said = condense(lines);
  const hint = said === '' ? undefined : `its console ended with:\n${said}`;
  if (o.givenUp) return { code: 'ERR_PROVIDER_ABORTED', text: 'the request was given up', hint };
  const timedOut = o.cause instanceof Error && o.cause.name === 'TimeoutError';
  const ended = whyItEnded(lines);
  const reason = timedOut
    ? `it did not boot within ${o.bootTimeoutMs / 1000} s (-boot-timeout)`
    : (ended ?? messageOf(o.cause));
  const thrown = usedUp(o.cause);
  const space = await freeSpaceAt(o.dataDir);
  const what = thrown ?? (o.started ? usedUpInGuest(ended, space) : null);
  if (what === null) {
    return o.cause instanceof ProviderError
      ? { code: o.cause.code, text: reason, hint: o.cause.hint ?? hint }
      : { code: 'ERR_PROVIDER_CREATE', text: reason, hint };
  }
  const missing = noFreeSpace(o.dataDir, what, space);
  return {
    code: 'ERR_PROVIDER_DISK_FULL',
    text: thrown === null ? `${missing}, and ${reason}` : missing,
    hint: hint === undefined ? WAY_OUT : `${WAY_OUT}; ${hint}`,
  };
}

/**
 * A guest that meets a full disk ends in a way of its own. It may have tidied up since, so that there is free space again; or
 * its console had none either, so that it did not say why.
 */
function usedUpInGuest(ended: string | null, space: FreeSpace | null): 'disk' | 'quota' | null {
  if (ended?.includes('EDQUOT') === true) return 'quota';
  return ended?.includes('ENOSPC') === true || isFull(space) ? 'disk' : null;
}
