// SPDX-License-Identifier: Apache-2.0
// Walking over protobuf fields in place, for code that must not decode, and writing the few bytes that stand around
// them: the one place for both. Knows tags, lengths and how to skip; knows no message. As strict as Go's decoder where
// that is stricter than protobufjs, so that both take a byte string alike.

/** The bytes end before the value does. */
export const MORE = -1;
/** No continuation of these bytes is valid. */
export const BAD = -2;

let viewed: Uint8Array = new Uint8Array(0);
let lastView = new DataView(viewed.buffer);

/**
 * A view of these bytes, for reading numbers. The last one is remembered: who reads frames reads nearly all of them from
 * one buffer.
 */
export function viewOf(bytes: Uint8Array): DataView {
  if (bytes !== viewed) {
    viewed = bytes;
    lastView = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
  return lastView;
}

/** Groups may nest; this deep and no deeper. */
const MAX_GROUP_DEPTH = 100;

/**
 * Position after the varint that {@link readUint32} read last. A module variable because returning a pair would
 * allocate on every tag of every frame; valid until the next call.
 */
export let afterVarint = 0;

/** Reads a varint that must fit 32 bits (a tag or a length): its value, {@link MORE} or {@link BAD}. */
export function readUint32(bytes: Uint8Array, position: number, end: number): number {
  let value = 0;
  let scale = 1;
  for (let i = position; i < end; i++) {
    const byte = bytes[i] ?? 0;
    value += (byte & 0x7f) * scale;
    if (value > 0xffff_ffff) return BAD;
    if (byte < 0x80) {
      afterVarint = i + 1;
      return value;
    }
    // Ten bytes is the longest varint there is; zero bits above the value are allowed, as everywhere.
    if (i - position === 9) return BAD;
    scale *= 128;
  }
  return MORE;
}

/** Position after the varint at `position`, {@link MORE} or {@link BAD}. */
export function skipVarint(bytes: Uint8Array, position: number, end: number): number {
  for (let i = position; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (i - position === 9 && byte > 1) return BAD;
    if (byte < 0x80) return i + 1;
  }
  return MORE;
}

/** Reads a tag; fields numbered zero are {@link BAD}. */
export function readTag(bytes: Uint8Array, position: number, end: number): number {
  const tag = readUint32(bytes, position, end);
  return tag >= 0 && tag < 8 ? BAD : tag;
}

/** Position after the value of the field `tag`, whose value begins at `position`; {@link MORE} or {@link BAD}. */
export function skipValue(bytes: Uint8Array, position: number, end: number, tag: number, depth = 0): number {
  switch (tag & 7) {
    case 0:
      return skipVarint(bytes, position, end);
    case 1:
      return position + 8 <= end ? position + 8 : MORE;
    case 2: {
      const length = readUint32(bytes, position, end);
      if (length < 0) return length;
      const after = afterVarint + length;
      return after <= end ? after : MORE;
    }
    case 3:
      return skipGroup(bytes, position, end, tag, depth + 1);
    case 5:
      return position + 4 <= end ? position + 4 : MORE;
    default:
      return BAD;
  }
}

function skipGroup(bytes: Uint8Array, position: number, end: number, opening: number, depth: number): number {
  if (depth > MAX_GROUP_DEPTH) return BAD;
  for (let at = position; ;) {
    const tag = readTag(bytes, at, end);
    if (tag < 0) return tag;
    at = afterVarint;
    if ((tag & 7) === 4) return tag >>> 3 === opening >>> 3 ? at : BAD;
    at = skipValue(bytes, at, end, tag, depth);
    if (at < 0) return at;
  }
}

/** Whether these bytes are a sequence of whole fields. */
export function isWellFormed(bytes: Uint8Array): boolean {
  const cursor = new FieldCursor(bytes);
  while (cursor.next());
  return cursor.fault === null;
}

/** Wire types of the protobuf encoding; a group, which is gone from proto3, begins with 3 and ends with 4. */
export const WireType = { varint: 0, fixed64: 1, bytes: 2, group: 3, fixed32: 5 } as const;

/** No encoder writes a tag or a length of more bytes. */
const MAX_PLAIN_VARINT = 5;

export interface CursorOptions {
  /** First byte of the first field. Default 0. */
  readonly from?: number;
  /** The byte after the last field. Default the end of the bytes. */
  readonly to?: number;
  /** Refuse what protobuf allows and no encoder writes: groups, and tags and lengths padded with zero bits. */
  readonly plain?: boolean;
}

/**
 * A cursor over the fields of one message.
 *
 * `next()` moves to the next field and answers false at the end and at the first fault; `fault` then says which of the
 * two it was. The public numbers are offsets into the bytes and hold for the field moved to last. Nothing is allocated
 * per field, so a hostile message of two million empty fields costs time only.
 */
export class FieldCursor {
  /** What is wrong with the message, or null as long as nothing is. */
  fault: string | null = null;
  /** Whether what is wrong is only that the bytes end, so that more of them could mend it. */
  short = false;
  /** Number and wire type together, as on the wire. */
  tag = 0;
  /** First byte of the tag. */
  start = 0;
  /** First byte of the length, for a length-delimited field; otherwise the same as `value`. */
  lengthAt = 0;
  /** First byte of the value. */
  value = 0;
  /** The byte after the value; at a fault of a length that runs past the end, where it would be. */
  end: number;
  readonly #bytes: Uint8Array;
  readonly #to: number;
  readonly #plain: boolean;

  constructor(bytes: Uint8Array, { from = 0, to = bytes.length, plain = false }: CursorOptions = {}) {
    this.#bytes = bytes;
    this.#to = to;
    this.#plain = plain;
    this.end = from;
  }

  get number(): number {
    return this.tag >>> 3;
  }

  get wireType(): number {
    return this.tag & 7;
  }

  next(): boolean {
    if (this.fault !== null || this.end >= this.#to) return false;
    this.start = this.end;
    const tag = this.#readShort(this.start, 'tag');
    if (tag < 0) return false;
    if (tag < 8) return this.#fail('field number 0');
    this.tag = tag;
    this.lengthAt = afterVarint;
    this.value = afterVarint;
    if (this.wireType === WireType.bytes) {
      const length = this.#readShort(this.value, 'length');
      if (length < 0) return false;
      this.value = afterVarint;
      this.end = this.value + length;
      return this.end <= this.#to || this.#fail(`field ${this.number} runs past the end`, true);
    }
    if (this.#plain && this.wireType === WireType.group) return this.#failWireType();
    const after = skipValue(this.#bytes, this.value, this.#to, tag);
    if (after === MORE) return this.#fail(`field ${this.number} runs past the end`, true);
    if (after === BAD)
      return this.wireType === WireType.varint
        ? this.#fail(`the number in field ${this.number} is over 64 bits`)
        : this.#failWireType();
    this.end = after;
    return true;
  }

  /** A tag or a length, or a negative number with the fault noted. */
  #readShort(at: number, what: string): number {
    const value = readUint32(this.#bytes, at, this.#to);
    if (this.#plain && this.#paddedAt(at)) this.#fail(`a ${what} is over 32 bits`);
    else if (value === BAD) this.#fail(`a ${what} is over 32 bits`);
    else if (value === MORE) this.#fail(`a ${what} is cut off`, true);
    return this.fault === null ? value : BAD;
  }

  /** Whether the varint there goes on after as many bytes as 32 bits take. */
  #paddedAt(at: number): boolean {
    for (let i = at; i < at + MAX_PLAIN_VARINT; i++) {
      if (i >= this.#to || (this.#bytes[i] ?? 0) < 0x80) return false;
    }
    return true;
  }

  #failWireType(): false {
    return this.#fail(`wire type ${this.wireType} in field ${this.number}`);
  }

  #fail(fault: string, short = false): false {
    this.fault = fault;
    this.short = short;
    return false;
  }
}

/** Bytes a varint of this value takes. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Writes a varint and returns the position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let at = position;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at++] = rest;
  return at;
}

/** `value` as a varint. @param value a whole number from 0 to 2^32-1 */
export function encodeVarint(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(varintLength(value));
  writeVarint(bytes, 0, value);
  return bytes;
}

/** A length-delimited field: tag, length, value. */
export function encodeBytesField(number: number, value: Uint8Array): Buffer {
  const tag = number * 8 + WireType.bytes;
  const head = varintLength(tag) + varintLength(value.length);
  const bytes = Buffer.allocUnsafe(head + value.length);
  writeVarint(bytes, writeVarint(bytes, 0, tag), value.length);
  bytes.set(value, head);
  return bytes;
}
