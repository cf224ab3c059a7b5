// SPDX-License-Identifier: Apache-2.0
// DER values in and out, through node-forge. It is here for ASN.1 alone: its keys, signatures and chain verification
// are not used, OpenSSL does those. No meaning of any field is known in this file.
/// <reference path="./node-forge-asn1.d.ts" />
import type forge from 'node-forge';
import asn1 from 'node-forge/lib/asn1.js';

/** One ASN.1 value. Primitive content is a string with one character per octet. */
export type DerNode = forge.asn1.Asn1;

/** Universal tag numbers (X.680 section 8.6) this package reads or writes. */
export const Tag = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  null: 5,
  oid: 6,
  utf8String: 12,
  sequence: 16,
  set: 17,
  printableString: 19,
  utcTime: 23,
  generalizedTime: 24,
} as const;

type DerClass = 'universal' | 'context';
const classBits = { universal: asn1.Class.UNIVERSAL, context: asn1.Class.CONTEXT_SPECIFIC } as const;

/** Deeper than any certificate or request goes; stops a bomb of nested sequences. */
const MAX_DEPTH = 32;

/** Octets as the string form node-forge wants. */
const octets = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

const primitive = (tag: number, content: string): DerNode =>
  asn1.create(asn1.Class.UNIVERSAL, tag, false, content);

export const sequence = (...items: DerNode[]): DerNode =>
  asn1.create(asn1.Class.UNIVERSAL, Tag.sequence, true, items);
export const set = (...items: DerNode[]): DerNode => asn1.create(asn1.Class.UNIVERSAL, Tag.set, true, items);
export const oid = (dotted: string): DerNode => primitive(Tag.oid, asn1.oidToDer(dotted).getBytes());
export const integer = (bytes: Uint8Array): DerNode => primitive(Tag.integer, octets(bytes));
export const boolTrue = (): DerNode => primitive(Tag.boolean, '\xff');
export const nullValue = (): DerNode => primitive(Tag.null, '');
export const octetString = (bytes: Uint8Array): DerNode => primitive(Tag.octetString, octets(bytes));
export const utf8String = (text: string): DerNode => primitive(Tag.utf8String, octets(Buffer.from(text)));
export const printableString = (text: string): DerNode => primitive(Tag.printableString, text);

/** A BIT STRING of whole octets, or of a named bit list that leaves `unused` bits of its last octet. */
export const bitString = (bytes: Uint8Array, unused = 0): DerNode =>
  primitive(Tag.bitString, String.fromCharCode(unused) + octets(bytes));

/** A context-specific value `[n]`: constructed around nodes, or primitive around octets. */
export const context = (n: number, content: readonly DerNode[] | Uint8Array): DerNode =>
  content instanceof Uint8Array
    ? asn1.create(asn1.Class.CONTEXT_SPECIFIC, n, false, octets(content))
    : asn1.create(asn1.Class.CONTEXT_SPECIFIC, n, true, [...content]);

/** UTCTime before 2050, GeneralizedTime from then on (RFC 5280 section 4.1.2.5). */
export const time = (at: Date): DerNode =>
  at.getUTCFullYear() < 2050
    ? primitive(Tag.utcTime, asn1.dateToUtcTime(at))
    : primitive(Tag.generalizedTime, asn1.dateToGeneralizedTime(at));

export const encodeDer = (node: DerNode): Buffer => Buffer.from(asn1.toDer(node).getBytes(), 'latin1');

/**
 * Reads exactly one DER value. Throws on anything else: trailing bytes, BER forms, too much nesting. Since the value
 * encodes back to the very bytes it came from, any node inside can be encoded again to get the bytes that were signed.
 */
export function decodeDer(bytes: Uint8Array): DerNode {
  const node = asn1.fromDer(octets(bytes), {
    strict: true,
    parseAllBytes: true,
    // The content of a BIT STRING stays as it is: guessing inside it is how parsers come to disagree.
    decodeBitStrings: false,
    maxDepth: MAX_DEPTH,
  });
  if (!encodeDer(node).equals(bytes)) throw new Error('not in the distinguished encoding');
  return node;
}

function expect(node: DerNode | undefined, kind: DerClass, tag: number, constructed: boolean): DerNode {
  // All three: the tag number alone would let an application-class value pass as a SEQUENCE.
  if (
    node === undefined ||
    node.tagClass !== classBits[kind] ||
    Number(node.type) !== tag ||
    node.constructed !== constructed
  ) {
    throw new Error('a value of another type stands where the format wants its own');
  }
  return node;
}

/** The children of a constructed value, of which there are between `min` and `max`. Throws on any other value. */
export function childrenOf(
  node: DerNode | undefined,
  tag: number,
  { min = 0, max = Infinity, kind = 'universal' }: { min?: number; max?: number; kind?: DerClass } = {},
): readonly DerNode[] {
  const { value } = expect(node, kind, tag, true);
  if (!Array.isArray(value)) throw new Error('a constructed value holds no values');
  if (value.length < min || value.length > max) throw new Error('a value has too few or too many parts');
  return value;
}

/** The octets of a primitive value of that tag. Throws on any other value. */
export function contentOf(node: DerNode | undefined, tag: number, kind: DerClass = 'universal'): Buffer {
  const { value } = expect(node, kind, tag, false);
  if (typeof value !== 'string') throw new Error('a primitive value holds values');
  return Buffer.from(value, 'latin1');
}

/** A BIT STRING's bits and how many of its last octet are not used. */
export function bitsOf(node: DerNode | undefined): { readonly bytes: Buffer; readonly unused: number } {
  const content = contentOf(node, Tag.bitString);
  const unused = content[0];
  if (unused === undefined || unused > 7) throw new Error('a bit string without its count of unused bits');
  return { bytes: content.subarray(1), unused };
}

/** An object identifier in dotted form. */
export function oidOf(node: DerNode | undefined): string {
  return asn1.derToOid(octets(contentOf(node, Tag.oid)));
}

/** Whether the node is `[n]`. */
export const isContext = (node: DerNode | undefined, n: number): boolean =>
  node !== undefined && node.tagClass === classBits.context && Number(node.type) === n;

/** Whether the node has that universal tag. */
export const isUniversal = (node: DerNode | undefined, tag: number): node is DerNode =>
  node !== undefined && node.tagClass === classBits.universal && Number(node.type) === tag;
