// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next try: numbers only, no timers.

export interface BackoffOptions {
  /** The first pause, in milliseconds. */
  readonly firstMs: number;
  /** No pause is longer, jitter aside, in milliseconds. */
  readonly longestMs: number;
  /** Each pause is this many times the one before. Default 2. */
  readonly factor?: number;
  /** How far a pause may be off either way, as a part of it, so that many do not come back together. Default 0. */
  readonly jitter?: number;
  /** In [0, 1). Default `Math.random`. */
  readonly random?: () => number;
}

/** Growing pauses between tries. */
export class Backoff {
  readonly #options: BackoffOptions;
  #nextMs: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#nextMs = options.firstMs;
  }

  /** The next pause, in milliseconds. */
  next(): number {
    const { longestMs, factor = 2, jitter = 0, random = Math.random } = this.#options;
    const ms = Math.min(this.#nextMs, longestMs);
    this.#nextMs = Math.min(ms * factor, longestMs);
    return ms * (1 + jitter * (2 * random() - 1));
  }

  /** A try succeeded: begins anew with the first pause. */
  reset(): void {
    this.#nextMs = this.#options.firstMs;
  }
}
