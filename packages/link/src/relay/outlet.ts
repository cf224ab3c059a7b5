// SPDX-License-Identifier: Apache-2.0
// The writing half of one end of a relay: knows whether a frame may begin, and gathers small writes into few system
// calls. Nothing about what a frame means, and nothing is read here.
import type { Duplex } from 'node:stream';

/** A write queue, in bytes, above which the stream's source is not read until the queue is empty again. */
const FULL_BYTES = 256 * 1024;
/** The same where frames are written whole: while a large one drains, the next is gathered. */
export const FULL_OF_WHOLE_FRAMES = 2 * 1024 * 1024;
/** Frames that may wait for the end of another one before their cause is not read any more. */
const MANY_WAITING = 1_024;
/**
 * Longest plaintext of a TLS record (RFC 8446 section 5.1), which is how it comes out of a TLS socket. Such a chunk is
 * seldom the last one of a read: its bytes wait for the rest of them, and one system call takes all.
 */
const TLS_RECORD_BYTES = 16_384;

export class Outlet {
  readonly stream: Duplex;
  readonly #fullBytes: number;
  #midFrame = false;
  #corked = false;
  #uncorkSoon: NodeJS.Immediate | null = null;
  #waiting: Buffer[] = [];

  constructor(stream: Duplex, fullBytes = FULL_BYTES) {
    this.stream = stream;
    this.#fullBytes = fullBytes;
  }

  /** Whether what was written so far ends inside a frame. */
  get midFrame(): boolean {
    return this.#midFrame;
  }

  /** Whether enough waits to be written. Only a stream that will say 'drain' may be waited for. */
  get full(): boolean {
    return this.stream.writableNeedDrain && this.stream.writableLength > this.#fullBytes;
  }

  /** Whether too many inserted frames wait for the end of the one under way. */
  get crowded(): boolean {
    return this.#waiting.length > MANY_WAITING;
  }

  /** A chunk of this length is about to be scanned into this outlet. */
  begin(chunkLength: number): void {
    if (chunkLength === TLS_RECORD_BYTES) this.#cork();
  }

  /**
   * Writes a run of frames. `whole`: it ends where a frame ends. `more`: the same chunk has more to come. `done` is called
   * once the bytes are written; never when they are not, since their memory may still be looked at then.
   */
  pass(bytes: Buffer, whole: boolean, more: boolean, done?: () => void): void {
    this.#midFrame = !whole;
    if (more) this.#cork();
    if (done === undefined) this.stream.write(bytes);
    else this.stream.write(bytes, error => (error == null ? done() : undefined));
    if (whole && this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const frame of waiting) this.stream.write(frame);
    }
  }

  /** Writes a frame of our own as soon as one may begin. */
  insert(frame: Buffer): void {
    if (this.#midFrame) this.#waiting.push(frame);
    else this.stream.write(frame);
  }

  /** The chunk has been scanned: what it brought goes out now, or after this turn's reads when more is about to come. */
  end(chunkLength: number): void {
    if (!this.#corked) return;
    if (chunkLength === TLS_RECORD_BYTES) this.#uncorkSoon ??= setImmediate(() => this.flush());
    else this.flush();
  }

  /** Lets everything that was gathered go out. */
  flush(): void {
    if (this.#uncorkSoon !== null) clearImmediate(this.#uncorkSoon);
    this.#uncorkSoon = null;
    if (!this.#corked) return;
    this.#corked = false;
    this.stream.uncork();
  }

  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.stream.cork();
  }
}
