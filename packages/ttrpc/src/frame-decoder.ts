// SPDX-License-Identifier: Apache-2.0
// Collects whole frames from a stream of chunks, for ends that want messages. A relay that cuts through reads
// headers itself. No sockets here, and no check beyond the length limit and the TLS test.
import { HEADER_LENGTH, looksLikeTls, MAX_MESSAGE_LENGTH, TLS_HEAD_LENGTH } from './frame.js';
import type { FrameHeader } from './frame.js';

/** A whole frame. The payload may be a view of the chunk it arrived in: copy what outlives the call. */
export interface Frame extends Readonly<FrameHeader> {
  readonly t: 'frame';
  readonly payload: Buffer;
}

/** A frame over the limit, reported at its header. Its payload is skipped as it arrives. */
export interface OversizedFrame extends Readonly<FrameHeader> {
  readonly t: 'oversized';
}

/** The connection began with a TLS record. No frame will ever come of it. */
export interface TlsBytes {
  readonly t: 'tls';
}

const tlsBytes: TlsBytes = { t: 'tls' };

/** First allocation for a payload that is spread over chunks; it grows with what really arrives. */
const FIRST_BODY_BYTES = 65_536;

/**
 * Turns chunks into frames: `push` what arrived, then call `next` until it returns null.
 *
 * A frame that lies in one chunk is not copied. A claimed length reserves nothing: memory grows with the bytes that
 * have arrived, at most to twice of them.
 */
export class FrameDecoder {
  #chunk: Buffer | null = null;
  #position = 0;
  readonly #waiting: Buffer[] = [];
  readonly #head = Buffer.alloc(HEADER_LENGTH);
  #headBytes = 0;
  #header: FrameHeader | null = null;
  #body = Buffer.alloc(0);
  #bodyBytes = 0;
  #skip = 0;
  #atStart = true;
  #tls = false;

  push(chunk: Buffer): void {
    if (chunk.length === 0 || this.#tls) return;
    if (this.#chunk === null) {
      this.#chunk = chunk;
      this.#position = 0;
    } else {
      this.#waiting.push(chunk);
    }
  }

  /** True between the first and the last byte of a frame: an end of the stream here cut a frame in two. */
  get midFrame(): boolean {
    return this.#headBytes > 0 || this.#header !== null || this.#skip > 0;
  }

  next(): Frame | OversizedFrame | TlsBytes | null {
    for (;;) {
      if (this.#tls) return tlsBytes;
      const chunk = this.#chunk;
      if (chunk === null) return null;
      const available = chunk.length - this.#position;
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, available);
        this.#skip -= step;
        this.#advance(chunk, step);
        continue;
      }
      if (this.#header !== null) {
        const frame = this.#collect(chunk, this.#header);
        if (frame !== null) return frame;
        continue;
      }
      let header: FrameHeader;
      if (this.#headBytes === 0 && available >= HEADER_LENGTH) {
        header = headerAt(chunk, this.#position);
        if (this.#atStart && this.#checkStart(chunk.subarray(this.#position))) continue;
        this.#advance(chunk, HEADER_LENGTH);
      } else {
        const step = Math.min(HEADER_LENGTH - this.#headBytes, available);
        chunk.copy(this.#head, this.#headBytes, this.#position, this.#position + step);
        this.#headBytes += step;
        this.#advance(chunk, step);
        if (this.#atStart && this.#checkStart(this.#head.subarray(0, this.#headBytes))) continue;
        if (this.#headBytes < HEADER_LENGTH) continue;
        this.#headBytes = 0;
        header = headerAt(this.#head, 0);
      }
      if (header.length > MAX_MESSAGE_LENGTH) {
        this.#skip = header.length;
        return { t: 'oversized', ...header };
      }
      const frame = this.#begin(header);
      if (frame !== null) return frame;
    }
  }

  /** True when the connection turns out to be TLS. Once enough bytes are seen the question is settled for good. */
  #checkStart(head: Buffer): boolean {
    if (head.length < TLS_HEAD_LENGTH) return false;
    this.#atStart = false;
    if (!looksLikeTls(head)) return false;
    this.#tls = true;
    this.#chunk = null;
    this.#waiting.length = 0;
    return true;
  }

  #begin(header: FrameHeader): Frame | null {
    const chunk = this.#chunk;
    const from = this.#position;
    if (header.length === 0 || (chunk !== null && chunk.length - from >= header.length)) {
      const payload =
        header.length === 0 || chunk === null ? noBytes : chunk.subarray(from, from + header.length);
      if (chunk !== null) this.#advance(chunk, header.length);
      return whole(header, payload);
    }
    this.#header = header;
    this.#body = Buffer.allocUnsafe(Math.min(header.length, FIRST_BODY_BYTES));
    this.#bodyBytes = 0;
    return null;
  }

  #collect(chunk: Buffer, header: FrameHeader): Frame | null {
    const step = Math.min(header.length - this.#bodyBytes, chunk.length - this.#position);
    const filled = this.#bodyBytes + step;
    if (filled > this.#body.length) {
      const larger = Buffer.allocUnsafe(Math.min(header.length, Math.max(filled, this.#body.length * 2)));
      this.#body.copy(larger, 0, 0, this.#bodyBytes);
      this.#body = larger;
    }
    chunk.copy(this.#body, this.#bodyBytes, this.#position, this.#position + step);
    this.#bodyBytes = filled;
    this.#advance(chunk, step);
    if (filled < header.length) return null;
    const frame = whole(header, this.#body);
    this.#header = null;
    this.#body = noBytes;
    return frame;
  }

  #advance(chunk: Buffer, bytes: number): void {
    this.#position += bytes;
    if (this.#position < chunk.length) return;
    this.#chunk = this.#waiting.shift() ?? null;
    this.#position = 0;
  }
}

const noBytes = Buffer.alloc(0);

function whole(header: FrameHeader, payload: Buffer): Frame {
  const { length, streamId, type, flags } = header;
  return { t: 'frame', length, streamId, type, flags, payload };
}

function headerAt(bytes: Buffer, offset: number): FrameHeader {
  return {
    length: bytes.readUInt32BE(offset),
    streamId: bytes.readUInt32BE(offset + 4),
    type: bytes[offset + 8] ?? 0,
    flags: bytes[offset + 9] ?? 0,
  };
}
