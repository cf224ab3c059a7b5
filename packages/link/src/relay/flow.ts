// SPDX-License-Identifier: Apache-2.0
// Why a stream is not being read at the moment. It flows when no reason is left. Nothing about frames here.
import type { RelayStream } from './relay-stream.js';

/** Reasons to hold a stream, as bits. */
export const Hold = {
  /** The other side's write queue is full. */
  full: 1,
  /** There is no upstream and enough is parked for it. */
  parked: 2,
  /** Rewrites under way hold much memory. */
  rewrites: 4,
  /** Answers to it are not read. */
  answers: 8,
} as const;

export class Flow {
  readonly #stream: RelayStream;
  #reasons = 0;

  constructor(stream: RelayStream) {
    this.#stream = stream;
  }

  get held(): boolean {
    return this.#reasons !== 0;
  }

  hold(reason: number): void {
    if (this.#reasons === 0) this.#stream.pause();
    this.#reasons |= reason;
  }

  release(reason: number): void {
    if ((this.#reasons & reason) === 0) return;
    this.#reasons &= ~reason;
    if (this.#reasons === 0) this.#stream.resume();
  }
}
