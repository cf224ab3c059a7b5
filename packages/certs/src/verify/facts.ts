// SPDX-License-Identifier: Apache-2.0
// What a certificate says of itself, read from its DER: dates, usages, path length, names, key identifiers, signature
// algorithm. What follows from them is in rules.ts.
import type { X509Certificate } from 'node:crypto';
import {
  bitsOf,
  childrenOf,
  contentOf,
  decodeDer,
  encodeDer,
  isContext,
  isUniversal,
  oidOf,
  Tag,
  type DerNode,
} from '../encoding/der.js';
import { ExtensionOid, keyUsageBits, type KeyUsage } from '../encoding/extensions.js';
import { showAddress, showOctets } from '../encoding/names.js';
import { readNameConstraints, type NameConstraints } from '../encoding/name-constraints.js';
import { readValidity, type Validity } from '../encoding/validity.js';
import { algorithmFault, isWholeSignature, sameAlgorithm } from './signatures.js';

export interface CertificateFacts extends Validity {
  /** 1 or 3; a certificate of version 1 has no extensions and so cannot say what it is for. */
  readonly version: number;
  /** The subject's Name, to be copied as it stands into what this certificate issues. */
  readonly subject: DerNode;
  /** Issuer and subject are the same name, whoever signed it. */
  readonly selfIssued: boolean;
  /** Why its signature is not relied on, whatever it signs; null for a good algorithm. */
  readonly signatureFault: string | null;
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
  /** Which key of its issuer signed it, where it says so. */
  readonly issuerKeyId: Buffer | null;
  /** Null where it limits no names. */
  readonly nameConstraints: NameConstraints | null;
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

/**
 * Reads the facts of a certificate, once per object. Throws a plain Error, in words that go behind "its certificate",
 * for one that is not proper DER or has a date that cannot be read.
 */
export function factsOf(certificate: X509Certificate): CertificateFacts {
  const cached = known.get(certificate);
  if (cached) return cached;
  const facts = readFacts(certificate.raw);
  known.set(certificate, facts);
  return facts;
}

/** The dates of a certificate, or null where they cannot be read: for showing it, not for deciding. */
export function datesToShow(certificate: X509Certificate): Validity | null {
  try {
    return factsOf(certificate);
  } catch {
    return null;
  }
}

function readFacts(der: Uint8Array): CertificateFacts {
  const [tbs, algorithm, signature] = childrenOf(decodeDer(der), Tag.sequence, { min: 3, max: 3 });
  const fields = childrenOf(tbs, Tag.sequence, { min: 6, max: 10 });
  const first = isContext(fields[0], 0) ? 1 : 0; // a version 1 certificate leaves the version out
  const [version] = first === 1 ? childrenOf(fields[0], 0, { kind: 'context', min: 1, max: 1 }) : [];
  const [issuer, validity, subject] = fields.slice(first + 2);
  if (!isUniversal(subject, Tag.sequence) || !isUniversal(issuer, Tag.sequence))
    throw new Error('it has no subject or no issuer');
  if (algorithm === undefined || !sameAlgorithm(algorithm, fields[first + 1]))
    throw new Error('it names two signature algorithms');
  if (!isWholeSignature(signature)) throw new Error('its signature is no whole number of octets');
  const [notBefore, notAfter] = childrenOf(validity, Tag.sequence, { min: 2, max: 2 });
  const { read, unknownCritical } = readExtensions(
    fields.slice(first + 6).find(field => isContext(field, 3)),
  );
  const names = read(ExtensionOid.subjectAlternativeName, readAlternativeNames);
  return {
    ...readValidity(notBefore, notAfter),
    version: version === undefined ? 1 : (contentOf(version, Tag.integer)[0] ?? 0) + 1,
    subject,
    selfIssued: encodeDer(issuer).equals(encodeDer(subject)),
    signatureFault: algorithmFault(algorithm),
    basicConstraints: read(ExtensionOid.basicConstraints, readBasicConstraints),
    keyUsage: read(ExtensionOid.keyUsage, readKeyUsage),
    purposes: read(ExtensionOid.extendedKeyUsage, node => childrenOf(node, Tag.sequence).map(oidOf)),
    dnsNames: names?.dns ?? [],
    addresses: names?.addresses ?? [],
    otherNames: names?.others ?? [],
    subjectKeyId: read(ExtensionOid.subjectKeyIdentifier, node => contentOf(node, Tag.octetString)),
    issuerKeyId: read(ExtensionOid.authorityKeyIdentifier, readIssuerKeyId),
    nameConstraints: read(ExtensionOid.nameConstraints, readNameConstraints),
    unknownCritical,
  };
}

interface Extensions {
  read<T>(id: string, parse: (node: DerNode) => T): T | null;
  readonly unknownCritical: readonly string[];
}

function readExtensions(list: DerNode | undefined): Extensions {
  const found = new Map<string, Buffer>();
  const unknownCritical: string[] = [];
  const wrapped = list ? childrenOf(list, 3, { kind: 'context', min: 1, max: 1 })[0] : undefined;
  for (const item of wrapped ? childrenOf(wrapped, Tag.sequence) : []) {
    const parts = childrenOf(item, Tag.sequence, { min: 2, max: 3 });
    const id = oidOf(parts[0]);
    if (found.has(id)) throw new Error(`extension ${id} appears twice`);
    found.set(id, contentOf(parts.at(-1), Tag.octetString));
    const critical = parts.length === 3 && contentOf(parts[1], Tag.boolean)[0] !== 0;
    if (critical && !handledCritical.has(id)) unknownCritical.push(id);
  }
  return {
    read: (id, parse) => {
      const value = found.get(id);
      return value === undefined ? null : parse(decodeDer(value));
    },
    unknownCritical,
  };
}

function readBasicConstraints(node: DerNode): { ca: boolean; pathLength: number | null } {
  const parts = [...childrenOf(node, Tag.sequence, { max: 2 })];
  let ca = false;
  if (isUniversal(parts[0], Tag.boolean)) ca = contentOf(parts.shift(), Tag.boolean)[0] !== 0;
  if (parts.length === 0) return { ca, pathLength: null };
  const length = contentOf(parts[0], Tag.integer);
  if (length.length === 0 || length.readInt8(0) < 0) throw new Error('its path length is negative');
  return { ca, pathLength: length.readUIntBE(0, Math.min(length.length, 6)) };
}

function readKeyUsage(node: DerNode): KeyUsage[] {
  const { bytes } = bitsOf(node);
  return keyUsageBits.filter((_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

function readIssuerKeyId(node: DerNode): Buffer | null {
  const part = childrenOf(node, Tag.sequence).find(item => isContext(item, 0));
  return part === undefined ? null : contentOf(part, 0, 'context');
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
