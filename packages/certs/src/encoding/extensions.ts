// SPDX-License-Identifier: Apache-2.0
// The certificate extensions we write (RFC 5280 section 4.2), and what their numbers mean. Reading them from a
// certificate is in verify/facts.ts.
import { createHash, type KeyObject } from 'node:crypto';
import {
  bitString,
  bitsOf,
  boolTrue,
  childrenOf,
  context,
  decodeDer,
  encodeDer,
  integer,
  octetString,
  oid,
  sequence,
  Tag,
  type DerNode,
} from './der.js';
import { encodeAlternativeNames } from './names.js';

export const ExtensionOid = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extendedKeyUsage: '2.5.29.37',
  inhibitAnyPolicy: '2.5.29.54',
} as const;

/** Extended key usages, by the name people use. */
export const Purpose = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const;

/** A purpose by the name people use, or its OID. */
export const purposeName = (id: string): string =>
  id === Purpose.any
    ? 'anyExtendedKeyUsage'
    : (Object.entries(Purpose).find(([, known]) => known === id)?.[0] ?? id);

/** Bit numbers of the key usage list, RFC 5280 section 4.2.1.3. */
export const keyUsageBits = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
export type KeyUsage = (typeof keyUsageBits)[number];

function extension(id: string, critical: boolean, value: DerNode): DerNode {
  const content = octetString(encodeDer(value));
  return critical ? sequence(oid(id), boolTrue(), content) : sequence(oid(id), content);
}

/** A CA that may issue leaves and no further CA, or an end entity: DER leaves out the default `cA FALSE`. */
export const basicConstraints = (kind: 'ca' | 'leaf'): DerNode =>
  extension(
    ExtensionOid.basicConstraints,
    true,
    kind === 'ca' ? sequence(boolTrue(), integer(Uint8Array.of(0))) : sequence(),
  );

export function keyUsage(...usages: readonly KeyUsage[]): DerNode {
  const bits = usages.map(usage => keyUsageBits.indexOf(usage));
  const last = Math.max(...bits);
  const bytes = Buffer.alloc(Math.floor(last / 8) + 1);
  for (const bit of bits) bytes.writeUInt8(bytes.readUInt8(bit >> 3) | (0x80 >> (bit & 7)), bit >> 3);
  // A named bit list ends with its last set bit (X.690 section 11.2.2).
  return extension(ExtensionOid.keyUsage, true, bitString(bytes, 7 - (last % 8)));
}

export const extendedKeyUsage = (purpose: 'serverAuth' | 'clientAuth'): DerNode =>
  extension(ExtensionOid.extendedKeyUsage, false, sequence(oid(Purpose[purpose])));

export const alternativeNames = (names: readonly string[]): DerNode =>
  extension(ExtensionOid.subjectAlternativeName, false, encodeAlternativeNames(names));

export const subjectKeyIdentifier = (id: Uint8Array): DerNode =>
  extension(ExtensionOid.subjectKeyIdentifier, false, octetString(id));

export const authorityKeyIdentifier = (id: Uint8Array): DerNode =>
  extension(ExtensionOid.authorityKeyIdentifier, false, sequence(context(0, id)));

/**
 * Both key identifiers of a self-signed certificate, with the same value. RFC 5280 lets it do without the second, but
 * OpenSSL then takes any anchor of the same name for its issuer and refuses the certificate for the wrong signature.
 */
export function ownKeyIdentifiers(spki: DerNode): readonly DerNode[] {
  const id = keyIdentifier(spki);
  return [subjectKeyIdentifier(id), authorityKeyIdentifier(id)];
}

/** The leftmost 160 bits of the SHA-256 of the public key's bits (RFC 7093 section 2, method 1). */
export function keyIdentifier(spki: DerNode): Buffer {
  const { bytes } = bitsOf(childrenOf(spki, Tag.sequence, { min: 2, max: 2 })[1]);
  return createHash('sha256').update(bytes).digest().subarray(0, 20);
}

export const spkiOf = (key: KeyObject): DerNode => decodeDer(key.export({ type: 'spki', format: 'der' }));
