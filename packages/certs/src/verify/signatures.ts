// SPDX-License-Identifier: Apache-2.0
// Which signature algorithms on a certificate are relied on: a list of the good ones, so that an algorithm nobody here
// has heard of is refused. No signature is verified here.
import { childrenOf, contentOf, encodeDer, isContext, oidOf, Tag, type DerNode } from '../encoding/der.js';

const good: ReadonlySet<string> = new Set([
  '1.2.840.10045.4.3.2', // ECDSA with SHA-256, -384, -512
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.2.840.113549.1.1.11', // RSA with SHA-256, -384, -512
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.3.101.112', // Ed25519
]);

/** Names for those we know and do not rely on. */
const others: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.1.1.2', 'MD2'],
  ['1.2.840.113549.1.1.3', 'MD4'],
  ['1.2.840.113549.1.1.4', 'MD5'],
  ['1.2.840.113549.1.1.5', 'SHA-1'],
  ['1.3.14.3.2.29', 'SHA-1'],
  ['1.2.840.113549.1.1.14', 'SHA-224'],
  ['1.2.840.10045.4.1', 'SHA-1'],
  ['1.2.840.10045.4.3.1', 'SHA-224'],
  ['1.2.840.10040.4.3', 'DSA and SHA-1'],
  ['2.16.840.1.101.3.4.3.1', 'DSA'],
  ['2.16.840.1.101.3.4.3.2', 'DSA'],
  ['1.3.101.113', 'Ed448'],
]);

const PSS = '1.2.840.113549.1.1.10';
const SHA1 = '1.3.14.3.2.26';
const MGF1 = '1.2.840.113549.1.1.8';
const hashes: ReadonlySet<string> = new Set([
  '2.16.840.1.101.3.4.2.1', // SHA-256, -384, -512
  '2.16.840.1.101.3.4.2.2',
  '2.16.840.1.101.3.4.2.3',
]);

/** Why nobody should rely on a signature made with that AlgorithmIdentifier, or null. */
export function algorithmFault(algorithm: DerNode): string | null {
  const [id, parameters] = childrenOf(algorithm, Tag.sequence, { min: 1, max: 2 });
  const oid = oidOf(id);
  if (good.has(oid)) return null;
  if (oid === PSS) return pssFault(parameters);
  const name = others.get(oid);
  return name === undefined
    ? `it is signed with the algorithm ${oid}, which is not among those relied on here`
    : `it is signed with ${name}`;
}

/** RFC 4055 section 3.1: what is left out means SHA-1. */
function pssFault(parameters: DerNode | undefined): string | null {
  const parts = parameters === undefined ? [] : childrenOf(parameters, Tag.sequence, { max: 4 });
  const algorithmIn = (n: number): readonly DerNode[] | null => {
    const part = parts.find(node => isContext(node, n));
    const [inner] = part === undefined ? [] : childrenOf(part, n, { kind: 'context', min: 1, max: 1 });
    return inner === undefined ? null : childrenOf(inner, Tag.sequence, { min: 1, max: 2 });
  };
  const hash = algorithmIn(0);
  const mask = algorithmIn(1);
  if (hash === null || mask === null) return 'it is signed with RSA-PSS and SHA-1';
  if (oidOf(hash[0]) === SHA1) return 'it is signed with RSA-PSS and SHA-1';
  if (!hashes.has(oidOf(hash[0]))) return `it is signed with RSA-PSS and the hash ${oidOf(hash[0])}`;
  const [maskHash] = mask[1] === undefined ? [] : childrenOf(mask[1], Tag.sequence, { min: 1, max: 2 });
  if (oidOf(mask[0]) !== MGF1 || maskHash === undefined || !hashes.has(oidOf(maskHash)))
    return 'it is signed with RSA-PSS and an odd mask';
  return null;
}

/** Whether both places of a certificate that name its signature algorithm say the same (RFC 5280 section 4.1.1.2). */
export const sameAlgorithm = (a: DerNode | undefined, b: DerNode | undefined): boolean =>
  a !== undefined && b !== undefined && encodeDer(a).equals(encodeDer(b));

/** A BIT STRING of a signature: whole octets. */
export const isWholeSignature = (node: DerNode | undefined): boolean =>
  contentOf(node, Tag.bitString)[0] === 0;
