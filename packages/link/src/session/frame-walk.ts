// SPDX-License-Identifier: Apache-2.0
// Where frames end in a stream of them that is only looked at: the one place where something of the session's own may stand.
// Nothing is copied and no frame is read but for its length.
import { HEADER_LENGTH, viewOf } from '@peerpod-tls/ttrpc/relay';

/** Bytes of the header that say how long the payload is. */
const LENGTH_BYTES = 4;

export class FrameWalk {
  /** Bytes of the frame under way that are still to come, once its length is known. */
  #left = 0;
  /** Bytes of its length that were seen, and what they say so far; 0 once it is known. */
  #seen = 0;
  #length = 0;

  /** Whether what was walked over ends where a frame ends. */
  get atBoundary(): boolean {
    return this.#left === 0 && this.#seen === 0;
  }

  /** Walks over these bytes. */
  over(bytes: Buffer, from: number, to: number): void {
    let at = from;
    if (!this.atBoundary) at = this.toBoundary(bytes, at, to);
    if (at >= to) return;
    const view = viewOf(bytes);
    while (to - at >= LENGTH_BYTES) {
      const end = at + HEADER_LENGTH + view.getUint32(at);
      if (end > to) {
        this.#left = end - to;
        return;
      }
      at = end;
    }
    if (at < to) this.toBoundary(bytes, at, to);
  }

  /** Walks up to the end of the frame that is under way, or begins here, at most to `to`. Returns how far it came. */
  toBoundary(bytes: Buffer, from: number, to: number): number {
    let at = from;
    if (this.#left === 0) {
      while (this.#seen < LENGTH_BYTES && at < to) {
        this.#length = this.#length * 256 + (bytes[at] ?? 0);
        this.#seen += 1;
        at += 1;
      }
      if (this.#seen < LENGTH_BYTES) return at;
      this.#left = HEADER_LENGTH - LENGTH_BYTES + this.#length;
      this.#seen = 0;
      this.#length = 0;
    }
    const count = Math.min(this.#left, to - at);
    this.#left -= count;
    return at + count;
  }
}
