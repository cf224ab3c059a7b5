// SPDX-License-Identifier: Apache-2.0
// Memory for bytes that have to wait: pieces of one size that are used again and again. New memory for each would lie outside
// of V8's heap and call for its collector, which costs more than a copy into what is there already. Nothing is read here.

/** Size of one slab, in bytes. */
export const SLAB_BYTES = 64 * 1024;
/** Slabs that are kept for later: four messages of 1 MiB. */
const KEPT_SLABS = 64;

export class Slabs {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  /** Nobody reads it any more. */
  give(slab: Buffer): void {
    if (this.#free.length < KEPT_SLABS) this.#free.push(slab);
  }
}

/** The ones of this process: relays are many, and few of them have something waiting at a time. */
export const slabs = new Slabs();
