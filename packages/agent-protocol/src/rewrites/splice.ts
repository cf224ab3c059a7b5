// SPDX-License-Identifier: Apache-2.0
// Replaces ranges of a protobuf message and corrects the lengths of the messages around them. All other bytes stay as they are.
import { encodeVarint } from '@peerpod-tls/ttrpc/relay';

/** Put `bytes` where `[start, end)` of the original was. An empty range inserts, empty bytes delete. */
export interface Patch {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** Where a length-delimited field lies: its length begins at `lengthAt`, its value is `[value, end)`. */
export interface Enclosing {
  readonly lengthAt: number;
  readonly value: number;
  readonly end: number;
}

/**
 * `message` with the patches applied.
 *
 * @param around the messages that enclose every patch, outermost first
 * @param patches in ascending order, not overlapping
 */
export function splice(message: Uint8Array, around: readonly Enclosing[], patches: readonly Patch[]): Buffer {
  let grown = 0;
  for (const patch of patches) grown += patch.bytes.length - (patch.end - patch.start);
  const lengths: Patch[] = [];
  for (const field of around.toReversed()) {
    const bytes = encodeVarint(field.end - field.value + grown);
    grown += bytes.length - (field.value - field.lengthAt);
    lengths.unshift({ start: field.lengthAt, end: field.value, bytes });
  }
  // A length stands before everything it encloses, so the order holds without sorting.
  const result = Buffer.allocUnsafe(message.length + grown);
  let read = 0;
  let written = 0;
  for (const patch of lengths.concat(patches)) {
    result.set(message.subarray(read, patch.start), written);
    written += patch.start - read;
    result.set(patch.bytes, written);
    written += patch.bytes.length;
    read = patch.end;
  }
  result.set(message.subarray(read), written);
  return result;
}
