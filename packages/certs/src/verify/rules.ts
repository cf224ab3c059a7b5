// SPDX-License-Identifier: Apache-2.0
// The single questions a certificate is asked: dates, purpose, strength, right to issue. Own material and a peer's
// certificates are asked the same ones.
import type { X509Certificate } from 'node:crypto';
import { Purpose, purposeName } from '../encoding/extensions.js';
import { clock, fingerprintOf, isoTime, nameCertificate } from '../describe.js';
import { keyFitness, keyName, MIN_RSA_BITS } from '../keys.js';
import { messageOf } from '@peerpod-tls/base';
import { neededPurpose, type TlsRole } from '../role.js';
import { factsOf, type CertificateFacts } from './facts.js';
import type { RefusalRule } from './refusal.js';

/** Something wrong with one certificate: the rule, and words that go behind its name. */
export interface Fault {
  readonly rule: RefusalRule;
  readonly text: string;
}

/** Where a certificate stands on its path. */
export interface Place {
  /** 0 for the leaf. */
  readonly index: number;
  /** Trusted as it stands: who signed it with what does not matter any more. */
  readonly isAnchor: boolean;
  /** CAs between it and the leaf that count for a path length. */
  readonly below: number;
}

/** The first thing wrong with a certificate at its place, or null. */
export function certificateFault(
  certificate: X509Certificate,
  place: Place,
  role: TlsRole,
  now: Date,
): Fault | null {
  const facts = readableFacts(certificate);
  if ('rule' in facts) return facts;
  const dates = dateFault(facts, now);
  if (dates !== null) return dates;
  if (facts.unknownCritical.length > 0) {
    const ids = list(facts.unknownCritical);
    return { rule: 'unknown-critical-extension', text: `has critical extensions unknown here (${ids})` };
  }
  const use = place.index === 0 ? leafFault(facts, role) : issuerFault(facts, place, role);
  if (use !== null) return use;
  const weak = keyFault(certificate) ?? (place.isAnchor ? null : facts.signatureFault);
  return weak === null ? null : { rule: 'weak', text: `is weak: ${weak}` };
}

/** The facts of a certificate, or the fault that there are none. */
export function readableFacts(certificate: X509Certificate): CertificateFacts | Fault {
  try {
    return factsOf(certificate);
  } catch (error) {
    return { rule: 'unreadable', text: `cannot be read: ${messageOf(error)}` };
  }
}

/** Which of its two dates rules a certificate out at that time, or null. */
export function dateFault(
  { notBefore, notAfter }: Pick<CertificateFacts, 'notBefore' | 'notAfter'>,
  now: Date,
): Fault | null {
  if (now > notAfter) return { rule: 'expired', text: `expired at ${isoTime(notAfter)}; ${clock(now)}` };
  if (now < notBefore)
    return { rule: 'not-yet-valid', text: `is valid from ${isoTime(notBefore)} on; ${clock(now)}` };
  return null;
}

function leafFault(facts: CertificateFacts, role: TlsRole): Fault | null {
  if (facts.basicConstraints?.ca === true)
    return { rule: 'is-ca', text: `is a CA certificate, which stands at no end of a link` };
  const why =
    purposeFault(facts, role) ??
    // TLS 1.3 leaves sign the handshake and do nothing else.
    (facts.keyUsage && !facts.keyUsage.includes('digitalSignature')
      ? `its key usage (${list(facts.keyUsage)}) lacks digitalSignature`
      : null);
  return why === null ? null : { rule: 'wrong-purpose', text: `cannot be used for a TLS ${role}: ${why}` };
}

/** Why the extended key usage, of a leaf or of a CA above it, rules that end out, or null. */
function purposeFault({ purposes }: CertificateFacts, role: TlsRole): string | null {
  const wanted = neededPurpose[role];
  if (purposes === null || purposes.includes(Purpose[wanted])) return null;
  // RFC 5280 section 4.2.1.12 leaves it to the verifier. OpenSSL does not count it, and so nobody here does.
  const any = purposes.includes(Purpose.any) ? ', and anyExtendedKeyUsage is not counted' : '';
  return `its extended key usage (${list(purposes.map(purposeName))}) lacks ${wanted}${any}`;
}

const list = (words: readonly string[]): string =>
  words.length === 0 ? 'empty' : words.slice(0, 10).join(', ');

function issuerFault(facts: CertificateFacts, { isAnchor, below }: Place, role: TlsRole): Fault | null {
  const { basicConstraints, keyUsage } = facts;
  const purpose = purposeFault(facts, role);
  if (purpose !== null) return { rule: 'wrong-purpose', text: `may not issue for a TLS ${role}: ${purpose}` };
  const why = ((): string | null => {
    // A root of version 1 has no way to say that it is a CA; as an anchor it is one, for OpenSSL and Go too.
    if (basicConstraints?.ca !== true && !(isAnchor && isVersionOneRoot(facts)))
      return facts.version === 1
        ? 'it is of version 1, which can name no CA'
        : 'it is no CA (basicConstraints)';
    if (keyUsage && !keyUsage.includes('keyCertSign')) return 'it may not sign certificates (key usage)';
    const allowed = basicConstraints?.pathLength ?? null;
    if (allowed === null || below <= allowed) return null;
    return `it allows ${allowed} CAs below it and there are ${below}`;
  })();
  return why === null ? null : { rule: 'issuer-not-allowed', text: `may not issue certificates: ${why}` };
}

export const isVersionOneRoot = (facts: CertificateFacts): boolean => facts.version === 1 && facts.selfIssued;

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

/**
 * How a certificate stands to another that has the name of its issuer.
 *
 * - `issued` made by its key, identifiers agree
 * - `other-key` of the same name, and made by another key
 * - `forged` it names this very key, and the key did not make the signature
 * - `other-identifier` the two key identifiers, or the serial number of the issuer, do not agree
 */
export type Kinship = 'issued' | 'other-key' | 'forged' | 'other-identifier';

/** Null where the names differ. */
export function kinship(certificate: X509Certificate, issuer: X509Certificate): Kinship | null {
  const fits = certificate.checkIssued(issuer);
  if (!fits && certificate.issuer !== issuer.subject) return null;
  const named = identifiers(certificate, issuer);
  // What else keeps OpenSSL from calling it the issuer is a missing keyCertSign, and issuerFault has words for that.
  if (named === 'differ' || (!fits && named !== 'unreadable' && maySign(issuer))) return 'other-identifier';
  if (signedBy(certificate, issuer)) return 'issued';
  return named === 'agree' ? 'forged' : 'other-key';
}

export function signedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}

function identifiers(
  certificate: X509Certificate,
  issuer: X509Certificate,
): 'agree' | 'differ' | 'unsaid' | 'unreadable' {
  const [child, parent] = [readableFacts(certificate), readableFacts(issuer)];
  if ('rule' in child || 'rule' in parent) return 'unreadable';
  if (!child.issuerKeyId || !parent.subjectKeyId) return 'unsaid';
  return child.issuerKeyId.equals(parent.subjectKeyId) ? 'agree' : 'differ';
}

function maySign(issuer: X509Certificate): boolean {
  const facts = readableFacts(issuer);
  return 'rule' in facts || facts.keyUsage === null || facts.keyUsage.includes('keyCertSign');
}

/** `the intermediate CA O=x (sha256 …)`, for a certificate at its place. */
export function placeName(certificate: X509Certificate, { index, isAnchor }: Place, role: TlsRole): string {
  const what = index === 0 ? `the ${role} certificate` : isAnchor ? 'the anchor' : 'the intermediate CA';
  return `${what} ${nameCertificate(certificate)}`;
}

export const sameCertificate = (a: X509Certificate, b: X509Certificate): boolean =>
  fingerprintOf(a) === fingerprintOf(b);
