// SPDX-License-Identifier: Apache-2.0
// A frame for an upstream that others write to as well, until all of it is here: half a frame cannot be taken back, and
// nobody else may write before its other half. It is copied into slabs, so that a frame in single bytes takes no more
// memory than it says.
import type { Call } from './downstream.js';
import type { Outlet } from './outlet.js';
import { SLAB_BYTES, type Slabs } from './slabs.js';

/** A frame up to this size is worth no slab. */
const SMALL_FRAME = 4096;

export class Gathered {
  /** A call that begins with this frame and has no id yet; null for a frame of a stream that has one. */
  readonly call: Call | null;
  readonly #slabs: Slabs;
  readonly #full: Buffer[] = [];
  readonly #small: boolean;
  #last: Buffer;
  #used = 0;

  /** `total` is the length of the frame, header included. */
  constructor(call: Call | null, total: number, slabs: Slabs) {
    this.call = call;
    this.#slabs = slabs;
    this.#small = total <= SMALL_FRAME;
    this.#last = this.#small ? Buffer.allocUnsafe(total) : slabs.take();
  }

  add(bytes: Buffer, from: number, to: number): void {
    for (let at = from; at < to;) {
      if (this.#used === SLAB_BYTES) {
        this.#full.push(this.#last);
        this.#last = this.#slabs.take();
        this.#used = 0;
      }
      const copied = bytes.copy(this.#last, this.#used, at, to);
      this.#used += copied;
      at += copied;
    }
  }

  /** The first bytes of the frame, at least its header once that is here. */
  get head(): Buffer {
    return this.#full[0] ?? this.#last;
  }

  /** Writes all of it. It is the outlet's from now on. */
  send(outlet: Outlet): void {
    if (this.#small) return outlet.pass(this.#last, 0, this.#used, true, false);
    for (const slab of this.#full.splice(0)) outlet.give(slab, SLAB_BYTES, false);
    outlet.give(this.#last, this.#used, true);
  }

  /** It will not be sent: its memory goes back. */
  drop(): void {
    for (const slab of this.#full.splice(0)) this.#slabs.give(slab);
    if (!this.#small) this.#slabs.give(this.#last);
  }
}
