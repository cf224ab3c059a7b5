// SPDX-License-Identifier: Apache-2.0
// Sandboxes that live no longer than the connection of whoever holds them: a program at a terminal that is killed cannot
// stop its pod VM any more. Shims hold nothing. What stopping means is sandboxes.ts.
import { reasonOf, sleep } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { alreadyExists, notFound } from '../hypervisor/status-of.js';

export interface LeaseDeps {
  readonly log: Logger;
  /** Whether there is a sandbox with this id. */
  readonly exists: (id: string) => boolean;
  readonly stop: (id: string) => Promise<void>;
  /** How long a CreateVM that lost its caller may still take, in milliseconds. Default 1000. */
  readonly createMs?: number;
}

export class Leases {
  readonly #deps: LeaseDeps;
  readonly #held = new Map<string, () => void>();
  #closing = false;

  constructor(deps: LeaseDeps) {
    this.#deps = deps;
  }

  /** Resolves when the lease is released or its holder is gone. The lease stands before this returns. */
  hold(id: string, holder: AbortSignal): Promise<void> {
    if (this.#held.has(id) || this.#deps.exists(id)) return Promise.reject(alreadyExists(id));
    return new Promise(resolve => {
      const end = (): void => {
        holder.removeEventListener('abort', onGone);
        this.#held.delete(id);
        resolve();
      };
      const onGone = (): void => {
        end();
        void this.#stop(id);
      };
      this.#held.set(id, end);
      if (holder.aborted) onGone();
      else holder.addEventListener('abort', onGone, { once: true });
    });
  }

  /** Whether somebody holds this sandbox. */
  has(id: string): boolean {
    return this.#held.has(id);
  }

  /** Leaves the sandbox as it is, whatever becomes of its holder. */
  release(id: string): void {
    const end = this.#held.get(id);
    if (end === undefined) throw notFound(id);
    end();
  }

  /** Ends every lease and stops nothing: a connection that ends from now on is the adaptor's doing. */
  close(): void {
    this.#closing = true;
    for (const end of this.#held.values()) end();
  }

  async #stop(id: string): Promise<void> {
    const { exists, stop, log, createMs = 1000 } = this.#deps;
    // Its creation may still be on the way to the disk.
    if (!exists(id)) await sleep(createMs);
    if (this.#closing || !exists(id)) return;
    log.info({ sandbox: id }, 'holder of the sandbox is gone');
    try {
      await stop(id);
    } catch (err) {
      log.warn({ err, sandbox: id, reason: reasonOf(err) }, 'sandbox without its holder not stopped');
    }
  }
}
