// SPDX-License-Identifier: Apache-2.0
// When a deletion that failed is tried again: a timer per sandbox, with growing pauses. What is tried is the caller's.

const LONGEST_PAUSE_MS = 300_000;

export class DeletionRetry {
  readonly #firstMs: number;
  readonly #attempt: (id: string) => Promise<void>;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #pauses = new Map<string, number>();
  #closed = false;

  /** @param attempt Rejects to be tried again. */
  constructor(firstMs: number, attempt: (id: string) => Promise<void>) {
    this.#firstMs = firstMs;
    this.#attempt = attempt;
  }

  /** Sandboxes that wait for another attempt. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Tries again after the next pause. */
  schedule(id: string): void {
    const pause = this.#pauses.get(id) ?? this.#firstMs;
    this.#pauses.set(id, Math.min(pause * 2, LONGEST_PAUSE_MS));
    this.#set(id, pause);
  }

  /** Tries at once, without making the caller wait. */
  soon(id: string): void {
    this.#set(id, 0);
  }

  /** Forgets the pending attempt, because somebody is making it now. */
  cancel(id: string): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #set(id: string, ms: number): void {
    if (this.#closed) return;
    this.cancel(id);
    const timer = setTimeout(() => {
      this.#timers.delete(id);
      this.#attempt(id).then(
        () => {
          if (!this.#timers.has(id)) this.#pauses.delete(id);
        },
        () => this.schedule(id),
      );
    }, ms);
    timer.unref();
    this.#timers.set(id, timer);
  }
}
