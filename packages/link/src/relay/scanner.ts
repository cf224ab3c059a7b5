// SPDX-License-Identifier: Apache-2.0
// Cuts a stream of chunks into ttrpc frames without collecting them: whole runs of frames that may pass are handed on
// in the chunk they came in, which is lent and read by offsets. What a frame means is the side's business; no sockets here.
import { HEADER_LENGTH, viewOf } from '@peerpod-tls/ttrpc/relay';
import { SLAB_BYTES, slabs } from './slabs.js';

/** The frame, as much of it as is here, may pass now and the rest as it comes. */
export const PASS = -1;
/** The frame is to be dropped, now and as it comes. */
export const SKIP = -2;
/** The frame is here whole and wants treatment: everything before it is handed on first, then `take` gets it. */
export const TAKE = -3;
/** Nothing more of this stream is to be read. */
export const STOP = -4;
/** As PASS, but everything before it is handed on first, then `apart` is called; its end is handed on as one, too. */
export const PASS_APART = -5;

/** What is done with the frames of one direction. All bytes are lent: what is to be kept is copied. */
export interface FrameSide {
  /** A chunk has come: the first `length` of these bytes. False: the side has put it by, and it is not to be scanned now. */
  begin(bytes: Buffer, length: number): boolean;
  /**
   * Decides on the frame of `length` bytes besides its header, which begins at `offset`; `available` bytes of it are
   * there, at least the header and never more than the frame. `view` is of the same bytes. Returns one of the constants, or how many bytes (more than `available`, at most the
   * frame) must be there before it is asked again. Only the last of these answers for a frame may have an effect.
   */
  decide(bytes: Buffer, view: DataView, offset: number, length: number, available: number): number;
  /** What is handed on from now on begins with the frame that was answered PASS_APART. */
  apart(): void;
  /** A whole frame that was answered TAKE. */
  take(frame: Buffer): void;
  /** Bytes to hand on. `whole` says that they end where a frame ends. `more` says that the same chunk has more to come. */
  forward(bytes: Buffer, from: number, to: number, whole: boolean, more: boolean): void;
  /** All of the chunk was scanned. */
  end(length: number): void;
}

/** The smallest hold; most frames that are split by a chunk's end fit it. */
const SMALLEST_HOLD = 512;
/** Holds from here on lie in a slab. */
const LARGE_HOLD = 4096;

export class FrameScanner {
  readonly #side: FrameSide;
  /** Bytes of the current frame that are still to come and need no thought. */
  #left = 0;
  #passing = false;
  /** Whether the current frame's end must not share a run with what follows. */
  #apart = false;
  #stopped = false;
  /** The beginning of a frame that cannot be decided on yet. Grows with the bytes that arrive, never with a claim. */
  #hold: Buffer | null = null;
  #held = 0;
  #wanted = 0;

  constructor(side: FrameSide) {
    this.#side = side;
  }

  /** Whether the stream so far ends where a frame ends. */
  get clean(): boolean {
    return this.#left === 0 && this.#held === 0;
  }

  /** Lets the rest of a frame that is being handed on be dropped: its reader is gone. */
  dropRest(): void {
    this.#passing = false;
  }

  /** Decides no more and drops all input. */
  stop(): void {
    this.#stopped = true;
    this.#dropHold();
  }

  /** Takes the next chunk: the first `length` of these bytes, which are not looked at any more once this returns. */
  feed(bytes: Buffer, length: number): void {
    if (this.#stopped || !this.#side.begin(bytes, length)) return;
    this.#scan(bytes, length);
    if (!this.#stopped) this.#side.end(length);
  }

  #scan(chunk: Buffer, end: number): void {
    const view = viewOf(chunk);
    let offset = 0;
    let runStart = 0;
    if (this.#held > 0) offset = this.#feedHold(chunk, end);
    if (this.#left > 0 && offset < end) {
      const n = Math.min(this.#left, end - offset);
      runStart = this.#passing ? offset : offset + n;
      this.#left -= n;
      offset += n;
      if (this.#apart && this.#left === 0) {
        this.#flush(chunk, runStart, offset, offset < end);
        runStart = offset;
      }
    } else {
      runStart = offset;
    }
    while (offset < end && !this.#stopped) {
      const available = end - offset;
      if (available < HEADER_LENGTH) {
        this.#flush(chunk, runStart, offset, true);
        this.#startHold(chunk, offset, end, HEADER_LENGTH);
        return;
      }
      const length = view.getUint32(offset);
      const total = HEADER_LENGTH + length;
      const n = available < total ? available : total;
      const verdict = this.#side.decide(chunk, view, offset, length, n);
      if (verdict === PASS) {
        offset += n;
        if (n === total) continue;
        this.#left = total - n;
        this.#passing = true;
        this.#apart = false;
      } else if (verdict > 0) {
        this.#flush(chunk, runStart, offset, true);
        this.#startHold(chunk, offset, end, verdict);
        return;
      } else {
        this.#flush(chunk, runStart, offset, true);
        if (verdict === STOP) return this.stop();
        runStart = offset;
        offset += n;
        this.#left = total - n;
        this.#passing = verdict === PASS_APART;
        this.#apart = this.#passing;
        if (verdict === PASS_APART) this.#side.apart();
        else {
          if (verdict === TAKE) this.#side.take(chunk.subarray(runStart, offset));
          runStart = offset;
        }
      }
    }
    if (!this.#stopped) this.#flush(chunk, runStart, offset, false);
  }

  #flush(chunk: Buffer, from: number, to: number, more: boolean): void {
    if (to > from) this.#side.forward(chunk, from, to, this.#left === 0, more);
  }

  #startHold(chunk: Buffer, offset: number, end: number, wanted: number): void {
    this.#wanted = wanted;
    this.#held = 0;
    this.#append(chunk, offset, end);
  }

  #append(chunk: Buffer, from: number, to: number): void {
    const size = this.#held + to - from;
    if (this.#hold === null || this.#hold.length < size) {
      const grown = holdOf(Math.min(Math.max(SMALLEST_HOLD, size * 2), Math.max(this.#wanted, size)));
      this.#hold?.copy(grown, 0, 0, this.#held);
      this.#dropHold();
      this.#hold = grown;
    }
    chunk.copy(this.#hold, this.#held, from, to);
    this.#held = size;
  }

  #dropHold(): void {
    if (this.#hold?.length === SLAB_BYTES) slabs.give(this.#hold);
    this.#hold = null;
  }

  /** Fills the hold from the chunk and decides once enough is there. Returns where the chunk goes on. */
  #feedHold(chunk: Buffer, end: number): number {
    let offset = 0;
    while (this.#held > 0) {
      const n = Math.min(this.#wanted - this.#held, end - offset);
      this.#append(chunk, offset, offset + n);
      offset += n;
      const hold = this.#hold;
      if (this.#held < this.#wanted || hold === null) return offset;
      const view = viewOf(hold);
      const length = view.getUint32(0);
      const total = HEADER_LENGTH + length;
      const held = this.#held;
      const verdict = this.#side.decide(hold, view, 0, length, Math.min(held, total));
      if (verdict > 0) {
        this.#wanted = verdict;
        continue;
      }
      this.#held = 0;
      this.#left = total - held;
      this.#apart = verdict === PASS_APART;
      this.#passing = verdict === PASS || this.#apart;
      if (this.#apart) this.#side.apart();
      if (this.#passing) this.#side.forward(hold, 0, held, this.#left === 0, offset < end);
      else if (verdict === TAKE) this.#side.take(hold.subarray(0, held));
      else if (verdict === STOP) this.stop();
      this.#dropHold();
    }
    return offset;
  }
}

/** Memory for a hold of this many bytes, or more. */
function holdOf(size: number): Buffer {
  return size >= LARGE_HOLD && size <= SLAB_BYTES ? slabs.take() : Buffer.allocUnsafe(size);
}
