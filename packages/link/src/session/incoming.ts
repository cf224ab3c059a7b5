// SPDX-License-Identifier: Apache-2.0
// What arrives on one connection of a session, parted: control frames on one hand, and on the other all the rest, handed on
// in the chunks it came in. A frame whose header is not all here is held back, so that what is handed on never ends inside
// a header, and after a cut its beginning comes again. No sockets here.
import { HEADER_LENGTH, viewOf } from '@peerpod-tls/ttrpc/relay';
import { decodeControl, LONGEST_CONTROL, type Control } from './wire.js';

export interface IncomingSide {
  /** Bytes of calls, lent until this returns: `length` of them at the start of `bytes`. */
  onBytes(bytes: Buffer, length: number): void;
  /** A control frame. False: nothing more of this connection is to be looked at. */
  onControl(control: Control): boolean;
  /** It sent what is no control frame under stream id 0. Nothing more is looked at. */
  onBroken(reason: string): void;
}

export class Incoming {
  readonly #side: IncomingSide;
  /** Bytes of the current frame that are still to come and are handed on. */
  #left: number;
  /** A header, or a control frame, that is not all here. */
  #hold: Buffer | null = null;
  #held = 0;
  #stopped = false;

  /** @param left bytes of the frame that the connection before was cut in */
  constructor(side: IncomingSide, left = 0) {
    this.#side = side;
    this.#left = left;
  }

  /** Bytes that are missing to the frame under way; those held back are not counted as here. */
  get left(): number {
    return this.#left;
  }

  /** The first frame is over, which belongs to no stream: the rest of a frame that was cut follows. */
  goOn(left: number): void {
    this.#left = left;
  }

  stop(): void {
    this.#stopped = true;
    this.#hold = null;
  }

  /** Takes the next chunk. */
  feed(bytes: Buffer, length: number): void {
    let at = 0;
    if (this.#held > 0) at = this.#feedHold(bytes, length);
    const view = viewOf(bytes);
    let from = at;
    while (at < length && !this.#stopped) {
      if (this.#left > 0) {
        const count = Math.min(this.#left, length - at);
        this.#left -= count;
        at += count;
        continue;
      }
      if (length - at < HEADER_LENGTH) break;
      const frame = HEADER_LENGTH + view.getUint32(at);
      if (view.getUint32(at + 4) !== 0) {
        this.#left = frame;
        continue;
      }
      if (at > from) this.#pass(bytes, from, at);
      if (this.#stopped) return;
      if (frame > LONGEST_CONTROL) return this.#break(`a control frame of ${frame} bytes`);
      if (length - at < frame) {
        from = at;
        break;
      }
      this.#control(bytes.subarray(at, at + frame));
      at += frame;
      from = at;
    }
    if (this.#stopped) return;
    if (at > from) this.#pass(bytes, from, at);
    if (at < length && !this.#stopped) this.#startHold(bytes, at, length);
  }

  /** Fills up what is held. Returns where the chunk goes on. */
  #feedHold(bytes: Buffer, length: number): number {
    const hold = this.#hold;
    if (hold === null) return 0;
    let at = 0;
    while (at < length) {
      const wanted = this.#held < HEADER_LENGTH ? HEADER_LENGTH : HEADER_LENGTH + hold.readUInt32BE(0);
      const count = Math.min(wanted - this.#held, length - at);
      bytes.copy(hold, this.#held, at, at + count);
      this.#held += count;
      at += count;
      if (this.#held < HEADER_LENGTH) return at;
      const frame = HEADER_LENGTH + hold.readUInt32BE(0);
      if (hold.readUInt32BE(4) !== 0) {
        this.#held = 0;
        this.#left = frame - HEADER_LENGTH;
        this.#pass(hold, 0, HEADER_LENGTH);
        return at;
      }
      if (frame > LONGEST_CONTROL) {
        this.#break(`a control frame of ${frame} bytes`);
        return length;
      }
      if (this.#held === frame) {
        this.#held = 0;
        this.#control(hold.subarray(0, frame));
        return at;
      }
    }
    return at;
  }

  #startHold(bytes: Buffer, from: number, to: number): void {
    this.#hold ??= Buffer.allocUnsafe(LONGEST_CONTROL);
    bytes.copy(this.#hold, 0, from, to);
    this.#held = to - from;
  }

  #pass(bytes: Buffer, from: number, to: number): void {
    if (from === 0) this.#side.onBytes(bytes, to);
    else this.#side.onBytes(bytes.subarray(from, to), to - from);
  }

  #control(frame: Buffer): void {
    const control = decodeControl(frame);
    if (control === null) return this.#break('what is no control frame');
    if (!this.#side.onControl(control)) this.stop();
  }

  #break(what: string): void {
    this.stop();
    this.#side.onBroken(`it sent ${what} under stream id 0`);
  }
}
