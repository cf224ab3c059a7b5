// SPDX-License-Identifier: Apache-2.0
// Finds fields of a known message by number, and refuses what two parsers could read differently. Changes nothing.
import { invalid, type Refused } from './rewrite-result.js';
import type { Enclosing } from './splice.js';
import { FieldCursor, WireType } from '@peerpod-tls/ttrpc/relay';

/** A field of a message we know: where it is on the wire and what to call it when refusing. */
export interface KnownField {
  readonly number: number;
  readonly name: string;
}

export type Found = { readonly t: 'found'; readonly field: Enclosing } | { readonly t: 'absent' } | Refused;

/** The whole of `bytes` as an enclosing message without a length of its own. */
export function whole(bytes: Uint8Array): Enclosing {
  return { lengthAt: 0, value: 0, end: bytes.length };
}

/**
 * Calls `visit` for each occurrence of a length-delimited field inside `within`, in order. The cursor stands on
 * the occurrence and must not be moved.
 *
 * @param visit answers a refusal to stop
 */
export function eachOccurrence(
  bytes: Uint8Array,
  within: Enclosing,
  field: KnownField,
  visit: (cursor: FieldCursor) => Refused | null,
): Refused | null {
  const cursor = new FieldCursor(bytes, { from: within.value, to: within.end, plain: true });
  while (cursor.next()) {
    if (cursor.number !== field.number) continue;
    // Go files a known number under the wrong wire type as unknown, Rust too, but a sender who means it is none we know.
    if (cursor.wireType !== WireType.bytes)
      return invalid(`${field.name} has wire type ${cursor.wireType}, not 2`);
    const refused = visit(cursor);
    if (refused !== null) return refused;
  }
  return cursor.fault === null
    ? null
    : invalid(`the message around ${field.name} cannot be read: ${cursor.fault}`);
}

/**
 * The one occurrence of a singular message. A second one is refused: Go merges the two, kata-agent keeps only the
 * last, so what was checked would not be what is run.
 */
export function findSingle(bytes: Uint8Array, within: Enclosing, field: KnownField): Found {
  let found: Enclosing | null = null;
  const refused = eachOccurrence(bytes, within, field, cursor => {
    if (found !== null) return invalid(`${field.name} appears twice`);
    found = { lengthAt: cursor.lengthAt, value: cursor.value, end: cursor.end };
    return null;
  });
  if (refused !== null) return refused;
  return found === null ? { t: 'absent' } : { t: 'found', field: found };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The text of a string field: of the last one, which counts in both runtimes, or empty. Bytes that are no UTF-8 are
 * refused, as every protobuf parser does.
 */
export function lastText(bytes: Uint8Array, within: Enclosing, field: KnownField): string | Refused {
  let text = '';
  const refused = eachOccurrence(bytes, within, field, cursor => {
    try {
      text = utf8.decode(bytes.subarray(cursor.value, cursor.end));
      return null;
    } catch {
      return invalid(`${field.name} is not UTF-8`);
    }
  });
  return refused ?? text;
}
