// SPDX-License-Identifier: Apache-2.0
// Certificates and material in words and plain values that are safe to log: no PEM and no key. Nothing is verified here.
import type { X509Certificate } from 'node:crypto';
import { validityOf } from './issue/certificate.js';
import { factsOf } from './encoding/extensions.js';
import { keyName } from './issue/keys.js';
import type { TlsMaterial } from './verify/material.js';
import { oneLineName } from './encoding/names.js';
import { purposeName } from './verify/rules.js';

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
  const { notBefore, notAfter } = validityOf(certificate);
  return {
    subject: subjectOf(certificate),
    issuer: issuerOf(certificate),
    serial: certificate.serialNumber.toLowerCase(),
    fingerprint: fingerprintOf(certificate),
    notBefore: isoTime(notBefore),
    notAfter: isoTime(notAfter),
    ...describeFacts(certificate),
    isCa: certificate.ca,
    key: describeKey(certificate),
  };
}

/** ISO 8601, or a word for a date that JavaScript cannot hold. */
export const isoTime = (at: Date): string => (Number.isNaN(at.getTime()) ? 'unreadable' : at.toISOString());

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

/** The material as log fields: no PEM, no key. */
export function describeMaterial(material: TlsMaterial): Record<string, unknown> {
  return {
    role: material.role,
    leaf: describeCertificate(material.leaf),
    chainLength: material.chain.length + 1,
    expiresAt: material.expiresAt.toISOString(),
    anchors: material.anchors.map(anchor => ({
      subject: subjectOf(anchor),
      fingerprint: fingerprintOf(anchor),
      notAfter: isoTime(validityOf(anchor).notAfter),
    })),
    warnings: material.warnings,
  };
}
