// SPDX-License-Identifier: Apache-2.0
// How long a downstream that does not read may hold up an upstream. Alone it may for ever: it is only itself that waits.
// Beside others it may for a moment; then answers to it pile up here, up to a bound, and beyond that it has to go.
import type { Downstream } from './downstream.js';
import { Hold, type Flow } from './flow.js';

/** For how long one downstream may hold up the others, in milliseconds. */
export const PATIENCE_MS = 500;
/** Answers that wait for one that does not read while others go on, in bytes; and for all such together. */
export const QUEUE_BYTES = 16 * 1024 * 1024;
const QUEUES_BYTES = 64 * 1024 * 1024;

export class Patience {
  readonly #flow: Flow;
  /** Downstreams the upstream waits for. */
  #awaited: Map<Downstream, NodeJS.Timeout> | null = null;
  /** Downstreams it waited for long enough. Both are made when there is one. */
  #slow: Set<Downstream> | null = null;
  /** How many downstreams there are. */
  crowd = 0;

  constructor(flow: Flow) {
    this.#flow = flow;
  }

  /** The queue of this downstream is full. Returns why it has to go, if it has to. */
  hold(downstream: Downstream): string | null {
    if (this.#slow?.has(downstream)) return this.#overdue(downstream);
    if (this.#awaited?.has(downstream)) return null;
    this.#wait(downstream);
    this.#flow.hold(Hold.full);
    return null;
  }

  /** It reads again, or has gone. */
  forget(downstream: Downstream): void {
    this.#slow?.delete(downstream);
    this.#letGo(downstream);
  }

  stop(): void {
    for (const timer of this.#awaited?.values() ?? []) clearTimeout(timer);
    this.#awaited = null;
  }

  #wait(downstream: Downstream): void {
    const timer = setTimeout(() => {
      if (this.crowd < 2) return this.#wait(downstream);
      (this.#slow ??= new Set()).add(downstream);
      this.#letGo(downstream);
    }, PATIENCE_MS);
    (this.#awaited ??= new Map()).set(downstream, timer);
  }

  #letGo(downstream: Downstream): void {
    const timer = this.#awaited?.get(downstream);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#awaited?.delete(downstream);
    if (this.#awaited?.size === 0) this.#flow.release(Hold.full);
  }

  #overdue(downstream: Downstream): string | null {
    const own = downstream.outlet.queued;
    if (own > QUEUE_BYTES) return `it did not read ${own} bytes of answers while others waited`;
    let all = 0;
    for (const slow of this.#slow ?? []) all += slow.outlet.queued;
    return all > QUEUES_BYTES ? `it and others did not read ${all} bytes of answers` : null;
  }
}
