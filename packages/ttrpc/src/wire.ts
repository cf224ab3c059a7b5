// SPDX-License-Identifier: Apache-2.0
// Walking over protobuf fields in place, for code that must not decode. Knows tags, lengths and how to skip; knows
// no message. As strict as Go's decoder where that is stricter than protobufjs, so both judge a byte string alike.

/** The bytes end before the value does. */
export const MORE = -1;
/** No continuation of these bytes is valid. */
export const BAD = -2;

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
  for (let at = 0; at < bytes.length;) {
    const tag = readTag(bytes, at, bytes.length);
    if (tag < 0) return false;
    at = skipValue(bytes, afterVarint, bytes.length, tag);
    if (at < 0) return false;
  }
  return true;
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
