// SPDX-License-Identifier: Apache-2.0
// Steps over the fields of one protobuf message without decoding it. Knows wire types and lengths, no message and no name.

/** Wire types of the protobuf encoding; the two group types are gone from proto3 and refused. */
export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** No encoder writes a tag or a length of more than five bytes, so a longer one is somebody's trick. */
const MAX_SHORT_VARINT = 5;
/** A 64-bit number takes at most ten bytes. */
const MAX_LONG_VARINT = 10;

/**
 * A cursor over the fields of `bytes[from, to)`.
 *
 * `next()` moves to the next field and answers false at the end and at the first fault; `fault` then says which of
 * the two it was. The public numbers are offsets into `bytes` and hold for the field moved to last. Nothing is
 * allocated per field, so a hostile message of two million empty fields costs time only.
 */
export class FieldCursor {
  /** What is wrong with the message, or null as long as nothing is. */
  fault: string | null = null;
  number = 0;
  wireType = 0;
  /** First byte of the tag. */
  start = 0;
  /** First byte of the length, for a length-delimited field; otherwise the same as `value`. */
  lengthAt = 0;
  /** First byte of the value. */
  value = 0;
  /** The byte after the value. */
  end: number;
  readonly #bytes: Uint8Array;
  readonly #to: number;

  constructor(bytes: Uint8Array, from = 0, to = bytes.length) {
    this.#bytes = bytes;
    this.#to = to;
    this.end = from;
  }

  next(): boolean {
    if (this.fault !== null || this.end >= this.#to) return false;
    this.start = this.end;
    const tag = this.#short('tag');
    if (tag < 0) return false;
    this.number = tag >>> 3;
    this.wireType = tag & 7;
    if (this.number === 0) return this.#fail('field number 0');
    this.lengthAt = this.end;
    this.value = this.end;
    switch (this.wireType) {
      case WireType.varint:
        return this.#skipLongVarint();
      case WireType.fixed64:
        return this.#skip(8);
      case WireType.bytes: {
        const length = this.#short('length');
        if (length < 0) return false;
        this.value = this.end;
        return this.#skip(length);
      }
      case WireType.fixed32:
        return this.#skip(4);
      default:
        return this.#fail(`wire type ${this.wireType} in field ${this.number}`);
    }
  }

  #skip(length: number): boolean {
    if (length > this.#to - this.end) return this.#fail(`field ${this.number} runs past the end`);
    this.end += length;
    return true;
  }

  /** An unsigned 32-bit varint at `end`, or -1 with the fault noted. */
  #short(what: string): number {
    let value = 0;
    for (let i = 0; i < MAX_SHORT_VARINT; i++) {
      if (this.end >= this.#to) {
        this.#fail(`a ${what} is cut off`);
        return -1;
      }
      const byte = this.#bytes[this.end++] ?? 0;
      if (i === MAX_SHORT_VARINT - 1 && byte > 0x0f) break;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    this.#fail(`a ${what} is over 32 bits`);
    return -1;
  }

  #skipLongVarint(): boolean {
    for (let i = 0; i < MAX_LONG_VARINT; i++) {
      if (this.end >= this.#to) return this.#fail(`field ${this.number} runs past the end`);
      const byte = this.#bytes[this.end++] ?? 0;
      if (i === MAX_LONG_VARINT - 1 && byte > 1) break;
      if (byte < 0x80) return true;
    }
    return this.#fail(`the number in field ${this.number} is over 64 bits`);
  }

  #fail(fault: string): false {
    this.fault = fault;
    return false;
  }
}

/** `value` as a varint. @param value a whole number from 0 to 2^32-1 */
export function encodeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** A length-delimited field: tag, length, value. */
export function encodeBytesField(number: number, value: Uint8Array): Buffer {
  return Buffer.concat([encodeVarint(number * 8 + WireType.bytes), encodeVarint(value.length), value]);
}
