// SPDX-License-Identifier: Apache-2.0
// Opens a relay's upstream, and opens it again within a budget of time. Knows nothing of frames or calls.
import type { Duplex } from 'node:stream';
import { abortable, anySignal, Backoff, messageOf, sleep, startTimer } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { isPermanent, LinkError } from '../errors.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { discard, streamOf } from './end-stream.js';
import type { Backend, LentReads } from './types.js';

export class UpstreamOpener {
  readonly #openUpstream: Backend;
  readonly #budgetMs: number | null;
  readonly #log: Logger;
  readonly #backoff = new Backoff({ firstMs: 50, longestMs: 2_000, jitter: 0.25 });
  /** When the time is over, by `performance.now()`; null while no loss is being mended. */
  #until: number | null = null;
  /** Before the next try; the first is made at once. */
  #pauseMs = 0;

  /** `budgetMs` null: one try, which may take as long as the backend likes. */
  constructor(openUpstream: Backend, budgetMs: number | null, log: Logger) {
    this.#openUpstream = openUpstream;
    this.#budgetMs = budgetMs;
    this.#log = log;
  }

  /** The upstream proved itself: the next loss has the whole budget again. */
  settled(): void {
    this.#until = null;
    this.#pauseMs = 0;
    this.#backoff.reset();
  }

  /**
   * A new upstream. Tries until the budget is used up; a permanent error ends it at once.
   * @throws what the last try threw, or the reason of the signal
   */
  async open(signal: AbortSignal): Promise<Duplex | VerifiedPeer | LentReads> {
    if (this.#budgetMs === null) return this.#try(signal);
    this.#until ??= performance.now() + this.#budgetMs;
    for (;;) {
      if (this.#pauseMs > 0) await sleep(this.#pauseMs, signal);
      this.#pauseMs = this.#backoff.next();
      try {
        return await this.#tryUntil(this.#until, this.#budgetMs, signal);
      } catch (error) {
        const spent = performance.now() + this.#pauseMs >= this.#until;
        if (signal.aborted || isPermanent(error) || spent) throw error;
        const fields = { error: messageOf(error), pauseMs: Math.round(this.#pauseMs) };
        this.#log.debug(fields, 'upstream not opened, trying again');
      }
    }
  }

  async #tryUntil(
    until: number,
    budgetMs: number,
    signal: AbortSignal,
  ): Promise<Duplex | VerifiedPeer | LentReads> {
    const timeout = new LinkError('ERR_LINK_TIMEOUT', `no new link within ${budgetMs} ms`);
    const leftMs = until - performance.now();
    if (leftMs <= 0) throw timeout;
    const overtime = new AbortController();
    // Not a deadline of base's, which holds no process alive: nothing else may, while a link is being replaced.
    const cancel = startTimer(leftMs, () => overtime.abort(timeout));
    using both = anySignal(signal, overtime.signal);
    try {
      return await this.#try(both);
    } finally {
      cancel();
    }
  }

  /** One try that ends with its signal even if the backend does not; what it opens too late is closed. */
  #try(signal: AbortSignal): Promise<Duplex | VerifiedPeer | LentReads> {
    return abortable(this.#openUpstream(signal), signal, late => discard(streamOf(late)));
  }
}
