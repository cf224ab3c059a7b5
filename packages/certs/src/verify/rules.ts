// SPDX-License-Identifier: Apache-2.0
// The single questions a certificate is asked: dates, purpose, strength, right to issue. Both verifies use these: the one
// of our own material (material.ts) and the one of a peer's certificate (explain.ts).
import type { X509Certificate } from 'node:crypto';
import { factsOf, Purpose, type CertificateFacts } from '../encoding/extensions.js';
import { keyFitness, keyName, MIN_RSA_BITS } from '../issue/keys.js';
import { validityOf } from '../issue/certificate.js';
import { neededPurpose, type TlsRole } from '../role.js';

/** A purpose by the name people use, or its OID. */
export const purposeName = (id: string): string =>
  Object.entries(Purpose).find(([, known]) => known === id)?.[0] ?? id;

/** Why the certificate cannot be the leaf of that end, or null. No extension means no limit, as Go and OpenSSL have it. */
export function leafPurposeFault(facts: CertificateFacts, role: TlsRole): string | null {
  return (
    purposeFault(facts, role) ??
    // TLS 1.3 leaves sign the handshake and do nothing else.
    (facts.keyUsage && !facts.keyUsage.includes('digitalSignature')
      ? `its key usage (${list(facts.keyUsage)}) lacks digitalSignature`
      : null)
  );
}

/** Why the extended key usage, of a leaf or of a CA above it, rules that end out, or null. */
export function purposeFault({ purposes }: CertificateFacts, role: TlsRole): string | null {
  const wanted = neededPurpose[role];
  if (purposes === null || purposes.includes(Purpose[wanted]) || purposes.includes(Purpose.any)) return null;
  return `its extended key usage (${list(purposes.map(purposeName))}) lacks ${wanted}`;
}

const list = (words: readonly string[]): string =>
  words.length === 0 ? 'empty' : words.slice(0, 10).join(', ');

/** Why the certificate may not have issued another with `below` CAs between it and the leaf, or null. */
export function issuerFault(facts: CertificateFacts, below: number): string | null {
  const { basicConstraints, keyUsage } = facts;
  if (basicConstraints?.ca !== true) return 'it is no CA (basicConstraints)';
  if (keyUsage && !keyUsage.includes('keyCertSign')) return 'it may not sign certificates (key usage)';
  if (basicConstraints.pathLength !== null && below > basicConstraints.pathLength) {
    return `it allows ${basicConstraints.pathLength} CAs below it and there are ${below}`;
  }
  return null;
}

/** MD2, MD5 and SHA-1 with RSA, SHA-1 with ECDSA and DSA. */
const brokenSignatures: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.1.1.2', 'MD2'],
  ['1.2.840.113549.1.1.4', 'MD5'],
  ['1.2.840.113549.1.1.5', 'SHA-1'],
  ['1.2.840.10045.4.1', 'SHA-1'],
  ['1.2.840.10040.4.3', 'SHA-1'],
]);

/** Why nobody should rely on the certificate's signature, or null. An anchor's own signature is never relied on. */
export function signatureFault(facts: CertificateFacts): string | null {
  const hash = brokenSignatures.get(facts.signatureOid);
  return hash === undefined ? null : `it is signed with ${hash}`;
}

/** Why nobody should rely on the certificate's key, or null. */
export function keyFault(certificate: X509Certificate): string | null {
  let key;
  try {
    key = certificate.publicKey;
  } catch {
    return 'its key is of an unknown kind';
  }
  switch (keyFitness(key)) {
    case 'ok':
      return null;
    case 'weak':
      return `its key is ${keyName(key)}; RSA starts at ${MIN_RSA_BITS} bits here`;
    default:
      return `its key is of the kind ${keyName(key)}`;
  }
}

/** Which of its two dates rules the certificate out at that time, or null. */
export function dateFault(certificate: X509Certificate, now: Date): 'expired' | 'not-yet-valid' | null {
  const { notBefore, notAfter } = validityOf(certificate);
  if (now > notAfter) return 'expired';
  return now < notBefore ? 'not-yet-valid' : null;
}

/**
 * Whether `issuer` made `certificate`: by name and key identifier, then by signature. A signature is called bad only
 * where the certificate names that very key; where the names alone agree, it may be from another CA of that name.
 */
export function issuedBy(
  certificate: X509Certificate,
  issuer: X509Certificate,
): 'yes' | 'no' | 'bad-signature' {
  if (!certificate.checkIssued(issuer)) return 'no';
  try {
    if (certificate.verify(issuer.publicKey)) return 'yes';
    return factsOf(certificate).namesIssuerKey && factsOf(issuer).subjectKeyId ? 'bad-signature' : 'no';
  } catch {
    return 'bad-signature';
  }
}
