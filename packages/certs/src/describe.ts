// SPDX-License-Identifier: Apache-2.0
// Certificates and material in words and plain values that are safe to log: no PEM and no key. Nothing is verified here.
import type { X509Certificate } from 'node:crypto';
import { purposeName } from './encoding/extensions.js';
import { keyName } from './keys.js';
import { oneLineName } from './encoding/names.js';
import { datesToShow, factsOf } from './verify/facts.js';

export interface CertificateSummary {
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  /** SHA-256 of the DER, 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  /** ISO 8601, UTC. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** DNS names and addresses as they are, other kinds as `kind:value`. */
  readonly names: readonly string[];
  /** Extended key usages, such as `serverAuth`; empty when every use is allowed. */
  readonly usages: readonly string[];
  readonly isCa: boolean;
  /** `ecdsa-p256`, `rsa-2048`, `ed25519`, … */
  readonly key: string;
}

/** SHA-256 of a certificate's DER, in 64 lower-case hexadecimal digits. */
export const fingerprintOf = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(':', '').toLowerCase();

/** `O=x, CN=y` */
export const subjectOf = (certificate: X509Certificate): string => oneLineName(certificate.subject);
export const issuerOf = (certificate: X509Certificate): string => oneLineName(certificate.issuer);

/** `O=x (sha256 0123456789abcdef…)`: enough to find the certificate again. */
export const nameCertificate = (certificate: X509Certificate): string =>
  `${subjectOf(certificate)} (sha256 ${fingerprintOf(certificate).slice(0, 16)}…)`;

/** What a person wants to know about a certificate. Never throws, also not for one a peer made up. */
export function describeCertificate(certificate: X509Certificate): CertificateSummary {
  const dates = datesToShow(certificate);
  return {
    subject: subjectOf(certificate),
    issuer: issuerOf(certificate),
    serial: certificate.serialNumber.toLowerCase(),
    fingerprint: fingerprintOf(certificate),
    notBefore: isoTime(dates?.notBefore),
    notAfter: isoTime(dates?.notAfter),
    ...describeFacts(certificate),
    isCa: certificate.ca,
    key: describeKey(certificate),
  };
}

export const clock = (now: Date): string => `the clock here says ${now.toISOString()}`;

/** ISO 8601, or a word for a date that cannot be read. */
export const isoTime = (at: Date | undefined): string => at?.toISOString() ?? 'unreadable';

function describeFacts(certificate: X509Certificate): Pick<CertificateSummary, 'names' | 'usages'> {
  try {
    const facts = factsOf(certificate);
    return {
      names: [...facts.dnsNames, ...facts.addresses, ...facts.otherNames].slice(0, 100),
      usages: (facts.purposes ?? []).map(purposeName),
    };
  } catch {
    return { names: [], usages: [] };
  }
}

function describeKey(certificate: X509Certificate): string {
  try {
    return keyName(certificate.publicKey);
  } catch {
    return 'unknown';
  }
}
