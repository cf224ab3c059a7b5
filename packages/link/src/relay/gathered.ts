// SPDX-License-Identifier: Apache-2.0
// A frame for an upstream that others write to as well, until all of it is here: half a frame cannot be taken back, and
// nobody else may write before its other half. It is copied into lent slabs, so that a frame in single bytes takes no
// more memory than it says and the chunks it came in die young. Nothing is written here.
import type { Call } from './downstream.js';
import { SLAB_BYTES, type Slabs } from './slabs.js';

/** A frame up to this size is worth no slab. */
const SMALL_FRAME = 4096;

export interface Piece {
  readonly bytes: Buffer;
  /** Gives its memory back; once the bytes are written, or never will be. */
  readonly done: () => void;
}

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

  add(chunk: Buffer): void {
    for (let from = 0; from < chunk.length;) {
      if (this.#used === SLAB_BYTES) {
        this.#full.push(this.#last);
        this.#last = this.#slabs.take();
        this.#used = 0;
      }
      const copied = chunk.copy(this.#last, this.#used, from);
      this.#used += copied;
      from += copied;
    }
  }

  /** The first bytes of the frame, at least its header once that is here. */
  get head(): Buffer {
    return this.#full[0] ?? this.#last;
  }

  /** All of it, in order. It is the caller's from now on. */
  pieces(): Piece[] {
    const last = this.#last.subarray(0, this.#used);
    return [...this.#full.map(slab => this.#piece(slab, slab)), this.#piece(this.#last, last)];
  }

  /** It will not be sent: its memory goes back. */
  drop(): void {
    for (const { done } of this.pieces()) done();
  }

  #piece(slab: Buffer, bytes: Buffer): Piece {
    return { bytes, done: () => (this.#small ? undefined : this.#slabs.give(slab)) };
  }
}
