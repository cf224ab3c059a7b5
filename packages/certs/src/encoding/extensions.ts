// SPDX-License-Identifier: Apache-2.0
// The certificate extensions we write (RFC 5280 section 4.2), and the facts of a certificate that node:crypto does not
// tell: key usage, path length, alternative names, signature algorithm. Verifying those facts is elsewhere.
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import {
  bitString,
  bitsOf,
  boolTrue,
  childrenOf,
  contentOf,
  context,
  decodeDer,
  encodeDer,
  integer,
  isContext,
  isUniversal,
  octetString,
  oid,
  oidOf,
  sequence,
  Tag,
  type DerNode,
} from './der.js';
import { encodeAlternativeNames, showAddress, showOctets } from './names.js';

const ExtensionOid = {
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

/** Bit numbers of the key usage list, RFC 5280 section 4.2.1.3. */
const keyUsageBits = [
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

/** What we read from a certificate's DER ourselves. */
export interface CertificateFacts {
  /** The subject's Name, to be copied as it stands into what this certificate issues. */
  readonly subject: DerNode;
  readonly signatureOid: string;
  /** `null` when there is no basicConstraints extension. */
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength: number | null } | null;
  /** `null` when there is no keyUsage extension: every use is allowed then. */
  readonly keyUsage: readonly KeyUsage[] | null;
  /** OIDs; `null` when there is no extendedKeyUsage extension: every purpose is allowed then. */
  readonly purposes: readonly string[] | null;
  readonly dnsNames: readonly string[];
  readonly addresses: readonly string[];
  /** Alternative names of other kinds, as `kind:value`. */
  readonly otherNames: readonly string[];
  readonly subjectKeyId: Buffer | null;
  /** Whether the certificate says which key of its issuer signed it. */
  readonly namesIssuerKey: boolean;
  /** Critical extensions neither OpenSSL nor Go would know what to do with. */
  readonly unknownCritical: readonly string[];
}

// What OpenSSL says it handles (X509_supported_extension); a critical extension beyond these fails verification.
const handledCritical: ReadonlySet<string> = new Set([
  ...Object.values(ExtensionOid),
  '2.5.29.18',
  '2.5.29.31',
  '2.5.29.33',
]);

const known = new WeakMap<X509Certificate, CertificateFacts>();

/** Reads the facts of a certificate, once per object. Throws a plain Error for one that is not proper DER. */
export function factsOf(certificate: X509Certificate): CertificateFacts {
  const cached = known.get(certificate);
  if (cached) return cached;
  const facts = readFacts(certificate.raw);
  known.set(certificate, facts);
  return facts;
}

function readFacts(der: Uint8Array): CertificateFacts {
  const [tbs, signature] = childrenOf(decodeDer(der), Tag.sequence, { min: 3, max: 3 });
  const signatureOid = oidOf(childrenOf(signature, Tag.sequence, { min: 1, max: 2 })[0]);
  const fields = childrenOf(tbs, Tag.sequence, { min: 6, max: 10 });
  const first = isContext(fields[0], 0) ? 1 : 0; // a version 1 certificate leaves the version out
  const subject = fields[first + 4];
  if (!isUniversal(subject, Tag.sequence)) throw new Error('a certificate without a subject');

  const found = new Map<string, Buffer>();
  const unknownCritical: string[] = [];
  const list = fields.slice(first + 6).find(field => isContext(field, 3));
  const wrapped = list ? childrenOf(list, 3, { kind: 'context', min: 1, max: 1 })[0] : undefined;
  for (const item of wrapped ? childrenOf(wrapped, Tag.sequence) : []) {
    const parts = childrenOf(item, Tag.sequence, { min: 2, max: 3 });
    const id = oidOf(parts[0]);
    if (found.has(id)) throw new Error(`extension ${id} appears twice`);
    found.set(id, contentOf(parts.at(-1), Tag.octetString));
    const critical = parts.length === 3 && contentOf(parts[1], Tag.boolean)[0] !== 0;
    if (critical && !handledCritical.has(id)) unknownCritical.push(id);
  }
  const read = <T>(id: string, parse: (node: DerNode) => T): T | null => {
    const value = found.get(id);
    return value === undefined ? null : parse(decodeDer(value));
  };
  const names = read(ExtensionOid.subjectAlternativeName, readAlternativeNames);
  return {
    subject,
    signatureOid,
    basicConstraints: read(ExtensionOid.basicConstraints, readBasicConstraints),
    keyUsage: read(ExtensionOid.keyUsage, readKeyUsage),
    purposes: read(ExtensionOid.extendedKeyUsage, node => childrenOf(node, Tag.sequence).map(oidOf)),
    dnsNames: names?.dns ?? [],
    addresses: names?.addresses ?? [],
    otherNames: names?.others ?? [],
    subjectKeyId: read(ExtensionOid.subjectKeyIdentifier, node => contentOf(node, Tag.octetString)),
    namesIssuerKey:
      read(ExtensionOid.authorityKeyIdentifier, node =>
        childrenOf(node, Tag.sequence).some(part => isContext(part, 0)),
      ) ?? false,
    unknownCritical,
  };
}

function readBasicConstraints(node: DerNode): { ca: boolean; pathLength: number | null } {
  const parts = [...childrenOf(node, Tag.sequence, { max: 2 })];
  let ca = false;
  if (isUniversal(parts[0], Tag.boolean)) ca = contentOf(parts.shift(), Tag.boolean)[0] !== 0;
  const length = parts.length > 0 ? contentOf(parts[0], Tag.integer) : null;
  return { ca, pathLength: length === null ? null : length.readUIntBE(0, Math.min(length.length, 6)) };
}

function readKeyUsage(node: DerNode): KeyUsage[] {
  const { bytes } = bitsOf(node);
  return keyUsageBits.filter((_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

const otherKinds = ['other', 'email', 'dns', 'x400', 'directory', 'edi', 'uri', 'ip', 'id'];

function readAlternativeNames(node: DerNode): { dns: string[]; addresses: string[]; others: string[] } {
  const dns: string[] = [];
  const addresses: string[] = [];
  const others: string[] = [];
  for (const item of childrenOf(node, Tag.sequence)) {
    const kind = Number(item.type);
    if (isContext(item, 2)) dns.push(showOctets(contentOf(item, 2, 'context')));
    else if (isContext(item, 7)) addresses.push(showAddress(contentOf(item, 7, 'context')));
    else if (typeof item.value === 'string') {
      others.push(`${otherKinds[kind] ?? kind}:${showOctets(Buffer.from(item.value, 'latin1'))}`);
    } else others.push(`${otherKinds[kind] ?? kind}:…`);
  }
  return { dns, addresses, others };
}
