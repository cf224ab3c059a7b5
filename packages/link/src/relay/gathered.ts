// SPDX-License-Identifier: Apache-2.0
// A frame for an upstream that others write to as well, until all of it is here: half a frame cannot be taken back, and
// nobody else may write before its other half. Its chunks are kept as they came and never joined, so this costs memory, up
// to the largest frame, and no copying (measured: joining them costs twice as much). Nothing is written here.
import type { Call } from './downstream.js';

/** Chunks this small are joined by the hundred, so that a frame in single bytes takes no more memory than it says. */
const SMALL_CHUNK = 256;
const MANY_SMALL = 128;

export class Gathered {
  /** A call that begins with this frame and has no id yet; null for a frame of a stream that has one. */
  readonly call: Call | null;
  readonly chunks: Buffer[] = [];
  #small = 0;

  constructor(call: Call | null) {
    this.call = call;
  }

  add(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.#small = chunk.length < SMALL_CHUNK ? this.#small + 1 : 0;
    if (this.#small < MANY_SMALL) return;
    this.chunks.push(Buffer.concat(this.chunks.splice(-MANY_SMALL)));
    this.#small = 0;
  }
}
