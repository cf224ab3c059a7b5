// SPDX-License-Identifier: Apache-2.0
// The bytes that one end has written and the other has not acknowledged, in slabs, by their place in the stream: what is to
// be sent again after a cut. With nothing kept no memory is held. No frames and no sockets here.
import { SLAB_BYTES, SMALL_SLAB_BYTES, slabs, smallSlabs } from '../relay/slabs.js';

interface Piece {
  readonly slab: Buffer;
  /** Bytes of the slab that are in use: `from` is where the first kept byte is, `to` where the last one ends. */
  from: number;
  to: number;
}

/** A slab that is given with less in it is copied instead: memory is never more than twice what is kept, and one slab. */
const WORTH_KEEPING = SLAB_BYTES / 2;

export class KeptBytes {
  readonly #pieces: Piece[] = [];
  /** Whether the last piece may be filled up: it was not given from elsewhere. */
  #open = false;
  #begin = 0;
  #end = 0;

  /** Place of the first byte kept: everything before it has arrived. */
  get begin(): number {
    return this.#begin;
  }

  /** Place behind the last byte. */
  get end(): number {
    return this.#end;
  }

  get length(): number {
    return this.#end - this.#begin;
  }

  /** Keeps a copy of these bytes. */
  add(bytes: Uint8Array, from: number, to: number): void {
    for (let at = from; at < to;) {
      let last = this.#open ? this.#pieces.at(-1) : undefined;
      if (last === undefined || last.to === last.slab.length) {
        last = { slab: this.#slabFor(to - at), from: 0, to: 0 };
        this.#pieces.push(last);
        this.#open = true;
      }
      const count = Math.min(to - at, last.slab.length - last.to);
      // Not Buffer's `copy`, which a plain array of bytes has not.
      last.slab.set(count === bytes.length ? bytes : bytes.subarray(at, at + count), last.to);
      last.to += count;
      at += count;
    }
    this.#end += to - from;
  }

  /** Keeps the first `length` bytes of a slab, which belongs here from now on. */
  give(slab: Buffer, length: number): void {
    if (length < WORTH_KEEPING) {
      this.add(slab, 0, length);
      slabs.give(slab);
      return;
    }
    this.#pieces.push({ slab, from: 0, to: length });
    this.#open = false;
    this.#end += length;
  }

  /** Everything before this place has arrived: its memory goes back. */
  release(before: number): void {
    let count = before - this.#begin;
    if (count < 0 || count > this.length)
      throw new RangeError(`internal error: ${before} is not among ${this.#begin} to ${this.#end}`);
    this.#begin = before;
    while (count > 0) {
      const [first] = this.#pieces;
      if (first === undefined) throw new Error('internal error: fewer bytes are kept than counted');
      const size = first.to - first.from;
      if (count < size) {
        first.from += count;
        return;
      }
      count -= size;
      this.#drop(first);
    }
    // All of it has arrived, and none of its slab is spare.
    if (this.length === 0) this.clear();
  }

  /** A view of the bytes from this place on, as many as lie together; null behind the last one. */
  at(place: number): Buffer | null {
    let offset = place - this.#begin;
    for (const { slab, from, to } of this.#pieces) {
      if (offset < to - from) return slab.subarray(from + offset, to);
      offset -= to - from;
    }
    return null;
  }

  /** Keeps nothing any more. */
  clear(): void {
    for (let first = this.#pieces[0]; first !== undefined; first = this.#pieces[0]) this.#drop(first);
    this.#begin = this.#end;
  }

  /** A small one where nothing else is kept: most sessions have one short call unacknowledged, or none. */
  #slabFor(more: number): Buffer {
    return (this.#pieces.length === 0 && more <= SMALL_SLAB_BYTES ? smallSlabs : slabs).take();
  }

  #drop({ slab }: Piece): void {
    this.#pieces.shift();
    (slab.length === SMALL_SLAB_BYTES ? smallSlabs : slabs).give(slab);
    if (this.#pieces.length === 0) this.#open = false;
  }
}
