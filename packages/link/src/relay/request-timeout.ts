// SPDX-License-Identifier: Apache-2.0
// The deadline inside a request envelope (ttrpc request.proto, field 4), read without a protobuf runtime so that a relay
// starts fast. Judges nothing else of the envelope.

const TIMEOUT_NANO = 4;
const NANOS_PER_MS = 1_000_000n;

/** The caller's timeout in milliseconds; null when there is none, or the envelope cannot be read this far. */
export function readTimeoutMs(envelope: Uint8Array): number | null {
  let at = 0;
  let nanos = 0n;
  const varint = (): bigint | null => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = envelope[at++];
      if (byte === undefined) return null;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    return null;
  };
  while (at < envelope.length) {
    const tag = varint();
    if (tag === null) return null;
    const wireType = Number(tag & 7n);
    if (wireType === 0) {
      const value = varint();
      if (value === null) return null;
      if (tag >> 3n === BigInt(TIMEOUT_NANO)) nanos = BigInt.asIntN(64, value);
    } else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else if (wireType === 2) {
      const length = varint();
      if (length === null || length > BigInt(envelope.length)) return null;
      at += Number(length);
    } else return null;
  }
  return nanos > 0n ? Number(nanos / NANOS_PER_MS) : null;
}
