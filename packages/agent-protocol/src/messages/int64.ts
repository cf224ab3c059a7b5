// SPDX-License-Identifier: Apache-2.0
// The 64-bit numbers of messages. A bigint given to the generated classes is written as 0, so nobody hands them one.
import Long from 'long';

/** An unsigned 64-bit field's value. @param value a whole number of at least 0; beyond 2^53 a double has lost bits */
export function uint64(value: number): Long {
  return Long.fromNumber(value, true);
}

/** A signed 64-bit field's value. @param value a whole number; beyond 2^53 a double has lost bits */
export function int64(value: number): Long {
  return Long.fromNumber(value);
}
