// SPDX-License-Identifier: Apache-2.0
// Opens a relay's upstream, and opens it again within a budget of time. Knows nothing of frames or calls.
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { isPermanent, LinkError } from '../errors.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import type { Backend } from './types.js';

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2_000;

export class UpstreamOpener {
  readonly #openUpstream: Backend;
  readonly #budgetMs: number | null;
  readonly #signal: AbortSignal;
  readonly #log: Logger;
  /** When the time is over, by `performance.now()`; null while no loss is being mended. */
  #until: number | null = null;
  #waitMs = 0;

  /** `budgetMs` null: one try, which may take as long as the backend likes. */
  constructor(openUpstream: Backend, budgetMs: number | null, signal: AbortSignal, log: Logger) {
    this.#openUpstream = openUpstream;
    this.#budgetMs = budgetMs;
    this.#signal = signal;
    this.#log = log;
  }

  /** The upstream proved itself: the next loss has the whole budget again. */
  settled(): void {
    this.#until = null;
    this.#waitMs = 0;
  }

  /**
   * A new upstream. Tries until the budget is used up; a permanent error ends it at once.
   * @throws what the last try threw, or the reason of the relay's signal
   */
  async open(): Promise<Duplex | VerifiedPeer> {
    if (this.#budgetMs === null) return this.#try(this.#signal);
    this.#until ??= performance.now() + this.#budgetMs;
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#waitMs > 0)
        await sleep(this.#waitMs * (0.75 + Math.random() / 2), undefined, { signal: this.#signal });
      this.#waitMs = Math.min(LONGEST_WAIT_MS, Math.max(FIRST_WAIT_MS, this.#waitMs * 2));
      const leftMs = this.#until - performance.now();
      if (leftMs <= 0) throw new LinkError('ERR_LINK_TIMEOUT', `no new link within ${this.#budgetMs} ms`);
      const overtime = new AbortController();
      const timer = setTimeout(
        () => overtime.abort(new LinkError('ERR_LINK_TIMEOUT', `no new link within ${this.#budgetMs} ms`)),
        leftMs,
      );
      try {
        return await this.#try(AbortSignal.any([this.#signal, overtime.signal]));
      } catch (error) {
        const spent = performance.now() + this.#waitMs >= this.#until;
        if (this.#signal.aborted || isPermanent(error) || spent) throw error;
        this.#log.debug(
          { error: messageOf(error), waitMs: this.#waitMs },
          'upstream not opened, trying again',
        );
      } finally {
        clearTimeout(timer);
      }
    }
  }

  /** One try that ends with its signal even if the backend does not; what it opens too late is closed. */
  #try(signal: AbortSignal): Promise<Duplex | VerifiedPeer> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(
          signal.reason instanceof Error
            ? signal.reason
            : new LinkError('ERR_LINK_CLOSED', 'the relay closed'),
        );
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#openUpstream(signal).then(
        upstream => {
          signal.removeEventListener('abort', onAbort);
          if (signal.aborted)
            ('peer' in upstream ? upstream.socket : upstream).on('error', () => {}).destroy();
          else resolve(upstream);
        },
        (error: unknown) => {
          signal.removeEventListener('abort', onAbort);
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }
}
