// SPDX-License-Identifier: Apache-2.0
// The writing half of one end of a relay: knows whether a frame may begin, passes on what may go at once, and gathers the
// rest in slabs, so that one write takes what came in many. What it is given is lent, save in `give`. Nothing about what a
// frame means, and nothing is read here.
import { TLSSocket } from 'node:tls';
import { isResumable, type RelayStream, type ResumableStream } from './relay-stream.js';
import { SLAB_BYTES, slabs } from './slabs.js';

/** Bytes that wait to be written, above which the stream's source is not read until none are left. */
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

/** Bytes that wait, in order. */
interface Piece {
  readonly bytes: Buffer;
  /** What goes back to the pool once they are written. */
  readonly slab: Buffer;
}

export class Outlet {
  readonly stream: RelayStream;
  /** Called once nothing waits any more, after {@link full} was true. */
  onDrained: (() => void) | null = null;
  readonly #fullBytes: number;
  /** A TLS socket has encrypted what it was given when `write` returns, a session has copied it; others may look at it later. */
  readonly #takesAtOnce: boolean;
  /** The same stream where it keeps what it is given. */
  readonly #keeper: ResumableStream | null;
  #midFrame = false;
  /** Whether a chunk is being scanned that has more to come for this outlet, in this turn or the next. */
  #gathering = false;
  #flushSoon: NodeJS.Immediate | null = null;
  /** What waits: whole pieces, then the slab that is being filled. */
  readonly #pieces: Piece[] = [];
  #slab: Buffer | null = null;
  #used = 0;
  #bytes = 0;
  /** What the stream is writing, where it did not take it at once. */
  #underWay: Buffer | null = null;
  #toldFull = false;
  #waiting: Buffer[] = [];

  constructor(stream: RelayStream, fullBytes = FULL_BYTES) {
    this.stream = stream;
    this.#fullBytes = fullBytes;
    this.#keeper = isResumable(stream) ? stream : null;
    if (this.#keeper !== null) this.#keeper.onRoom = () => this.#onWritten();
    this.#takesAtOnce = this.#keeper !== null || stream instanceof TLSSocket;
  }

  /** Whether what was written so far ends inside a frame. */
  get midFrame(): boolean {
    return this.#midFrame;
  }

  /** Bytes that were not taken from here yet. */
  get queued(): number {
    return this.#bytes + this.stream.writableLength;
  }

  /** Whether so much waits that the source is to wait for {@link onDrained}. */
  get full(): boolean {
    if (this.queued <= this.#fullBytes) return false;
    this.#toldFull = true;
    return true;
  }

  /** Whether too many inserted frames wait for the end of the one under way. */
  get crowded(): boolean {
    return this.#waiting.length > MANY_WAITING;
  }

  /** A chunk of this length is about to be scanned into this outlet. */
  begin(chunkLength: number): void {
    if (chunkLength === TLS_RECORD_BYTES) this.#gathering = true;
  }

  /** Writes bytes of frames. `whole`: they end where a frame ends. `more`: the same chunk has more to come. */
  pass(bytes: Buffer, from: number, to: number, whole: boolean, more: boolean): void {
    this.#midFrame = !whole;
    if (more) this.#gathering = true;
    if (!this.#gathering && this.#bytes === 0 && this.#takesAtOnce && this.stream.writableLength === 0)
      this.stream.write(bytes.subarray(from, to), this.#onWritten);
    else this.#append(bytes, from, to);
    if (whole && this.#waiting.length > 0) this.#appendWaiting();
    if (!this.#gathering) this.#pump();
  }

  /** Writes the first `length` bytes of a slab, which is the outlet's from now on. Frames end as `whole` says. */
  give(slab: Buffer, length: number, whole: boolean): void {
    this.#midFrame = !whole;
    this.#endPiece();
    this.#pieces.push({ bytes: slab.subarray(0, length), slab });
    this.#bytes += length;
    if (whole && this.#waiting.length > 0) this.#appendWaiting();
    if (!this.#gathering) this.#pump();
  }

  /** Writes a frame of our own as soon as one may begin. */
  insert(frame: Buffer): void {
    if (this.#midFrame) return void this.#waiting.push(frame);
    this.#append(frame, 0, frame.length);
    if (!this.#gathering) this.#pump();
  }

  /** The chunk has been scanned: what it brought goes out now, or after this turn's reads when more is about to come. */
  end(chunkLength: number): void {
    if (!this.#gathering) return;
    if (chunkLength === TLS_RECORD_BYTES) {
      if (this.#bytes >= SLAB_BYTES) this.#pump();
      if (this.#bytes > 0 && this.#flushSoon === null)
        this.#flushSoon = setImmediate(Outlet.#onImmediate, this);
    } else this.#flush();
  }

  /** Hands everything that waits to the stream, which may be ended then. */
  flush(): void {
    this.#stopGathering();
    this.#endPiece();
    for (const { bytes } of this.#pieces.splice(0)) this.stream.write(bytes, this.#onWritten);
    this.#bytes = 0;
    // Whatever is written now is written from memory that nobody takes back.
    this.#underWay = null;
  }

  #flush(): void {
    this.#stopGathering();
    this.#pump();
  }

  #stopGathering(): void {
    this.#gathering = false;
    if (this.#flushSoon !== null) clearImmediate(this.#flushSoon);
    this.#flushSoon = null;
  }

  static #onImmediate(outlet: Outlet): void {
    outlet.#flushSoon = null;
    outlet.#flush();
  }

  #append(bytes: Buffer, from: number, to: number): void {
    this.#bytes += to - from;
    for (let at = from; at < to;) {
      if (this.#used === SLAB_BYTES) this.#endPiece();
      this.#slab ??= slabs.take();
      const copied = bytes.copy(this.#slab, this.#used, at, to);
      this.#used += copied;
      at += copied;
    }
  }

  #appendWaiting(): void {
    for (const frame of this.#waiting) this.#append(frame, 0, frame.length);
    this.#waiting = [];
  }

  /** The slab that is being filled is a piece now, as far as it is. */
  #endPiece(): void {
    const slab = this.#slab;
    if (slab === null) return;
    this.#pieces.push({ bytes: slab.subarray(0, this.#used), slab });
    this.#slab = null;
    this.#used = 0;
  }

  /** Writes what waits, one piece at a time, as long as the stream takes each at once. */
  #pump(): void {
    while (this.#bytes > 0 && this.stream.writableLength === 0) {
      let slab = this.#slab;
      let bytes: Buffer;
      const piece = this.#pieces.shift();
      if (piece !== undefined) ({ bytes, slab } = piece);
      else if (slab === null) return;
      else {
        bytes = slab.subarray(0, this.#used);
        this.#slab = null;
        this.#used = 0;
      }
      this.#bytes -= bytes.length;
      if (this.#keeper !== null) {
        this.#keeper.writeSlab(slab, bytes.length);
        continue;
      }
      this.stream.write(bytes, this.#onWritten);
      if (this.#takesAtOnce || this.stream.writableLength === 0) slabs.give(slab);
      else this.#underWay = slab;
    }
  }

  readonly #onWritten = (error?: Error | null): void => {
    // Memory under a write that failed may still be looked at: it is left to the collector.
    if (error != null) return;
    if (this.stream.writableLength > 0) return;
    if (this.#underWay !== null) {
      slabs.give(this.#underWay);
      this.#underWay = null;
    }
    if (!this.#gathering) this.#pump();
    if (this.#toldFull && this.#bytes === 0 && this.stream.writableLength === 0) {
      this.#toldFull = false;
      this.onDrained?.();
    }
  };
}
