// SPDX-License-Identifier: Apache-2.0
// Memory that is lent for the time of one frame or one read, and taken back once it is written. New memory for each lies
// outside of V8's heap and calls for its collector, which costs more than the copy into what is there already.

/** Size of one slab, in bytes: the most that one read of a Unix socket brings. */
export const SLAB_BYTES = 64 * 1024;
/** Slabs that are kept for the next frame: four messages of 1 MiB. */
const KEPT_SLABS = 64;
/** A read below this is worth no slab: waiting for a slow reader it would keep many times its size. */
const SMALL_READ = SLAB_BYTES / 4;

/** Bytes that were read, and who still needs them. */
export class Lease {
  readonly bytes: Buffer;
  readonly #give: (() => void) | null;
  #holders = 1;

  constructor(bytes: Buffer, give: (() => void) | null) {
    this.bytes = bytes;
    this.#give = give;
  }

  /** One more writes them; what is returned is called when they are written. */
  hold(): (() => void) | undefined {
    if (this.#give === null) return undefined;
    this.#holders += 1;
    return this.release;
  }

  readonly release = (): void => {
    this.#holders -= 1;
    if (this.#holders === 0) this.#give?.();
  };
}

export class Slabs {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  /** Nobody reads it any more. */
  give(slab: Buffer): void {
    if (this.#free.length < KEPT_SLABS) this.#free.push(slab);
  }

  /** A copy of what a reader lent for this turn, at most a slab of it. */
  copy(lent: Buffer): Lease {
    if (lent.length < SMALL_READ) return new Lease(Buffer.from(lent), null);
    const slab = this.take();
    lent.copy(slab);
    return new Lease(slab.subarray(0, lent.length), () => this.give(slab));
  }
}
