// SPDX-License-Identifier: Apache-2.0
// When acknowledgements go out that were not due for their number of bytes: 50 to 100 ms after the first of them, by one
// timer of the process, which runs while anybody owes one. What is acknowledged is session-stream.ts's business.

/** Who owes an acknowledgement. */
export interface Debtor {
  acknowledge(): void;
}

export class AckTimer {
  readonly #tickMs: number;
  /** Since before the last tick, and since. */
  #older: Debtor[] = [];
  #newer: Debtor[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(tickMs: number) {
    this.#tickMs = tickMs;
  }

  /** Is told once, one to two ticks from now. */
  add(debtor: Debtor): void {
    this.#newer.push(debtor);
    // Held by nothing: whoever ends before it has acknowledged is asked to send again, and that is all.
    this.#timer ??= setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  #tick(): void {
    const due = this.#older;
    this.#older = this.#newer;
    this.#newer = [];
    for (const debtor of due) debtor.acknowledge();
    if (this.#older.length > 0 || this.#newer.length > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}

/** The one of this process. */
export const ackTimer = new AckTimer(50);
