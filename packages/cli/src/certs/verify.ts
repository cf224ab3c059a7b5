// SPDX-License-Identifier: Apache-2.0
// What `certs inspect` finds out about one file: the certificates in it, and why they, the pair or the bundle would be
// refused. The verifying itself is the certs package's; nothing is printed here.
import type { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  Authority,
  type CertificateSummary,
  type PemSource,
  type TlsRole,
  certificatesIn,
  checkMaterial,
  describeCertificate,
  explainRefusal,
  holdsPrivateKey,
  readPem,
} from '@peerpod-tls/certs';
import { codeOf, messageOf } from '@peerpod-tls/base';
import { MANUAL_SERVER_NAME, fileNames } from './names.js';

/** One file to look at, with what belongs to it. */
export interface Subject {
  readonly file: string;
  readonly key: string | undefined;
  readonly ca: string | undefined;
  /** Undefined: by its extended key usage; what can be either is described and not verified. */
  readonly role: TlsRole | 'authority' | undefined;
  /** The name a client would dial; only for servers. */
  readonly name: string | undefined;
}

/** One thing that was checked. `refused` says that a program or a peer would not go on with it. */
export interface Finding {
  readonly verdict: 'fine' | 'warning' | 'refused';
  readonly code: string;
  readonly text: string;
  readonly hint: string | undefined;
}

export interface Report {
  readonly file: string;
  readonly certificates: readonly CertificateSummary[];
  readonly findings: readonly Finding[];
  readonly refused: boolean;
}

/** The files of manual mode in a directory, each with its key, its anchor and its role. */
export function subjectsIn(dir: string, name: string | undefined): Subject[] {
  const at = (file: string) => (existsSync(join(dir, file)) ? join(dir, file) : undefined);
  const ca = at(fileNames.authority.cert);
  const roles = ['authority', 'server', 'client'] as const;
  return roles.flatMap(role => {
    const file = at(fileNames[role].cert);
    if (file === undefined) return [];
    return [
      {
        file,
        key: at(fileNames[role].key),
        ca: role === 'authority' ? undefined : ca,
        role,
        name: role === 'server' ? (name ?? MANUAL_SERVER_NAME) : undefined,
      },
    ];
  });
}

/** Looks at one file. What is wrong with it is in the report: this throws nothing that a file can cause. */
export function verify(subject: Subject, now: Date): Report {
  const findings: Finding[] = [];
  let certificates: readonly X509Certificate[] = [];
  try {
    const source = readPem(subject.file, 'FILE');
    certificates = readCertificates(source, findings);
    if (subject.role === 'authority') verifyAuthority(subject, source, certificates, findings, now);
    else verifyLeaf(subject, source, certificates, findings, now);
  } catch (error) {
    findings.push(refusal(error));
  }
  return {
    file: subject.file,
    certificates: certificates.map(describeCertificate),
    findings,
    refused: findings.some(f => f.verdict === 'refused'),
  };
}

function readCertificates(source: PemSource, findings: Finding[]): readonly X509Certificate[] {
  try {
    const found = certificatesIn(source);
    if (holdsPrivateKey(source)) {
      findings.push({
        verdict: 'warning',
        code: 'KEY_BESIDE_CERTIFICATE',
        text: 'the file holds a private key as well',
        hint: 'whoever gets the certificate to check you gets the key with it; keep them in two files',
      });
    }
    return found;
  } catch (error) {
    if (codeOf(error) !== 'ERR_CERT_NO_CERTIFICATE' || !holdsPrivateKey(source)) throw error;
    findings.push({
      verdict: 'refused',
      code: 'ERR_CERT_NO_CERTIFICATE',
      text: 'the file holds a private key and no certificate',
      hint: `look at the certificate instead, with --key ${source.file}`,
    });
    return [];
  }
}

function verifyAuthority(
  subject: Subject,
  source: PemSource,
  certificates: readonly X509Certificate[],
  findings: Finding[],
  now: Date,
): void {
  verifyDates(certificates, findings, now);
  if (subject.key === undefined) return;
  attempt(findings, `${subject.key} is the authority's key; it can issue certificates`, 'AUTHORITY', () => {
    Authority.load(source.pem, readPem(subject.key ?? '', '--key').pem, { now });
  });
}

function verifyLeaf(
  subject: Subject,
  source: PemSource,
  certificates: readonly X509Certificate[],
  findings: Finding[],
  now: Date,
): void {
  const [leaf, ...chain] = certificates;
  if (leaf === undefined) return;
  const role = subject.role === 'authority' ? undefined : (subject.role ?? roleOf(leaf));
  if (role === undefined || (subject.key === undefined && subject.ca === undefined)) {
    verifyDates(certificates, findings, now);
    if (subject.key !== undefined || subject.ca !== undefined) findings.push(unknownRole);
    return;
  }
  const { key, ca } = subject;
  if (key !== undefined) {
    attempt(findings, `${key} belongs to it, and a TLS ${role} can use the pair`, 'PAIR', () => {
      const anchors = ca === undefined ? null : readPem(ca, '--ca');
      const pair = { role, cert: source, key: readPem(key, '--key'), anchors, allowNoAnchors: true, now };
      const { warnings } = checkMaterial(pair);
      for (const text of warnings)
        findings.push({ verdict: 'warning', code: 'ANCHORS', text, hint: undefined });
    });
  }
  if (ca !== undefined) verifyAgainst(subject, leaf, chain, role, ca, findings, now);
}

/** What a peer that has only the anchors of `ca` would make of the certificate. */
function verifyAgainst(
  subject: Subject,
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  role: TlsRole,
  ca: string,
  findings: Finding[],
  now: Date,
): void {
  try {
    const anchors = certificatesIn(readPem(ca, '--ca'), 'ERR_CERT_ANCHOR_UNREADABLE');
    const called = subject.name === undefined ? {} : { name: subject.name };
    const refused = explainRefusal(leaf, chain, anchors, role, { now, ...called });
    if (refused === null) {
      const as = subject.name === undefined ? '' : ` called ${subject.name}`;
      findings.push({
        verdict: 'fine',
        code: 'ACCEPTED',
        text: `a peer that trusts ${ca} accepts it as a TLS ${role}${as}`,
        hint: undefined,
      });
      return;
    }
    findings.push({
      verdict: 'refused',
      code: refused.rule,
      text: `a peer that trusts ${ca} refuses it: ${refused.text}`,
      hint: `expected ${refused.expected?.join('; ') ?? 'nothing'}; the clock here says ${refused.now}`,
    });
  } catch (error) {
    findings.push(refusal(error));
  }
}

const unknownRole: Finding = {
  verdict: 'warning',
  code: 'ROLE',
  text: 'not verified as a pair: its purpose fits a server and a client alike',
  hint: 'say --role server or --role client',
};

function roleOf(leaf: X509Certificate): TlsRole | undefined {
  const { usages } = describeCertificate(leaf);
  const server = usages.includes('serverAuth');
  const client = usages.includes('clientAuth');
  if (server === client) return undefined;
  return server ? 'server' : 'client';
}

/** Dates are verified of every certificate, since nothing that is out of them is accepted anywhere. */
function verifyDates(certificates: readonly X509Certificate[], findings: Finding[], now: Date): void {
  for (const certificate of certificates) {
    const { subject, notBefore, notAfter } = describeCertificate(certificate);
    const clock = `; the clock here says ${now.toISOString()}`;
    if (now > new Date(notAfter)) {
      findings.push({
        verdict: 'refused',
        code: 'expired',
        text: `${subject} expired at ${notAfter}${clock}`,
        hint: undefined,
      });
    } else if (now < new Date(notBefore)) {
      const text = `${subject} is valid from ${notBefore} on${clock}`;
      findings.push({ verdict: 'refused', code: 'not-yet-valid', text, hint: undefined });
    }
  }
}

function attempt(findings: Finding[], text: string, code: string, check: () => void): void {
  try {
    check();
    findings.push({ verdict: 'fine', code, text, hint: undefined });
  } catch (error) {
    findings.push(refusal(error));
  }
}

function refusal(error: unknown): Finding {
  const hint =
    error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
  return { verdict: 'refused', code: codeOf(error) ?? 'ERR_UNKNOWN', text: messageOf(error), hint };
}
