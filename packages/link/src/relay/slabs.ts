// SPDX-License-Identifier: Apache-2.0
// Memory for bytes that have to wait: pieces of one size that are used again and again. New memory for each would lie outside
// of V8's heap and call for its collector, which costs more than a copy into what is there already. Nothing is read here.

/** Size of one slab, in bytes. */
export const SLAB_BYTES = 64 * 1024;
/** Slabs that are kept for later: what four messages of 1 MiB take in each direction. */
const KEPT_SLABS = 128;
/** Size of a small one, in bytes. */
export const SMALL_SLAB_BYTES = 2 * 1024;
const KEPT_SMALL_SLABS = 256;

export class Slabs {
  readonly #free: Buffer[] = [];
  readonly #bytes: number;
  readonly #most: number;

  /** Of so many bytes each; so many that nobody uses are kept. */
  constructor(bytes = SLAB_BYTES, most = KEPT_SLABS) {
    this.#bytes = bytes;
    this.#most = most;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
  }

  /** Nobody reads it any more. */
  give(slab: Buffer): void {
    if (this.#free.length < this.#most) this.#free.push(slab);
  }
}

/** The ones of this process: relays are many, and few of them have something waiting at a time. */
export const slabs = new Slabs();

/** For the little that many sessions have unacknowledged at a time. */
export const smallSlabs = new Slabs(SMALL_SLAB_BYTES, KEPT_SMALL_SLABS);
