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
  checkCertificates,
  checkMaterial,
  describeCertificate,
  holdsPrivateKey,
  readAnchors,
  readPem,
  verifyPeer,
} from '@peerpod-tls/certs';
import { proveMaterial, verifyAsALinkWould } from '@peerpod-tls/link';
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

/** Looks at one file. What is wrong with it is in the report: this rejects for nothing that a file can cause. */
export async function verify(subject: Subject, now: Date): Promise<Report> {
  const findings: Finding[] = [];
  let certificates: readonly X509Certificate[] = [];
  try {
    const source = readPem(subject.file, 'FILE');
    certificates = readCertificates(source, findings);
    const [first] = certificates;
    if (first !== undefined) {
      if (subject.role === 'authority' || (subject.role === undefined && first.ca))
        verifyAnchors(subject, source, findings, now);
      else await verifyLeaf(subject, source, certificates, findings, now);
    }
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

/** What programs make of the file as the anchors they verify peers by; and of its key, as what issues. */
function verifyAnchors(subject: Subject, source: PemSource, findings: Finding[], now: Date): void {
  const { key } = subject;
  try {
    warn(findings, 'ANCHORS', readAnchors(source, false, 'server', now).warnings);
  } catch (error) {
    const { verdict, ...rest } = refusal(error);
    // A client sends nobody the names of its anchors, so for one alone a long list is none too long.
    findings.push({ verdict: codeOf(error) === 'ERR_CERT_LIMIT' ? 'warning' : verdict, ...rest });
  }
  if (key === undefined) return;
  try {
    Authority.load(source.pem, readPem(key, '--key').pem, { now });
    fine(findings, 'AUTHORITY', `${key} is the authority's key; it can issue certificates`);
  } catch (error) {
    findings.push(refusal(error));
  }
}

async function verifyLeaf(
  subject: Subject,
  source: PemSource,
  certificates: readonly X509Certificate[],
  findings: Finding[],
  now: Date,
): Promise<void> {
  const [leaf] = certificates;
  if (leaf === undefined) return;
  const { key, ca } = subject;
  const role = subject.role === 'authority' ? undefined : (subject.role ?? roleOf(leaf));
  if (role === undefined) {
    if (key !== undefined || ca !== undefined) findings.push(unknownRole);
    await verifyAlone(source, ['server', 'client'], findings, now);
    return;
  }
  let presented = certificates;
  if (key === undefined) presented = (await verifyAlone(source, [role], findings, now)) ?? certificates;
  else {
    try {
      const material = checkMaterial({
        role,
        cert: source,
        key: readPem(key, '--key'),
        anchors: ca === undefined ? null : readPem(ca, '--ca'),
        allowNoAnchors: true,
        now,
      });
      warn(findings, 'MATERIAL', material.warnings);
      await proveMaterial(material, { minVersion: 'TLSv1.3' });
      presented = [material.leaf, ...material.chain];
      fine(findings, 'PAIR', `${key} belongs to it, and a TLS ${role} can use the pair`);
    } catch (error) {
      findings.push(refusal(error));
    }
  }
  if (ca !== undefined) await verifyAgainst(subject, presented, role, ca, findings, now);
}

/** What a program would say that was given the certificates in one of these roles; of the first where it likes none. */
async function verifyAlone(
  source: PemSource,
  roles: readonly TlsRole[],
  findings: Finding[],
  now: Date,
): Promise<readonly X509Certificate[] | null> {
  let first: unknown;
  for (const role of roles) {
    try {
      const found = checkCertificates({ role, cert: source, anchors: null, allowNoAnchors: true, now });
      const { certificates, path, warnings } = found;
      const [leaf, ...chain] = certificates;
      const verdict = await verifyAsALinkWould({ leaf, chain, anchors: path.slice(-1), role, now });
      if (verdict.t === 'refused') {
        const { rule, text } = verdict.refusal;
        findings.push({ verdict: 'refused', code: rule, text, hint: undefined });
      }
      warn(findings, 'CERTIFICATES', warnings);
      return certificates;
    } catch (error) {
      first ??= error;
    }
  }
  findings.push(refusal(first));
  return null;
}

/** What a peer that has only the anchors of `ca` would make of the certificates. */
async function verifyAgainst(
  { name }: Subject,
  [leaf, ...chain]: readonly X509Certificate[],
  role: TlsRole,
  ca: string,
  findings: Finding[],
  now: Date,
): Promise<void> {
  if (leaf === undefined) return;
  try {
    // The peer stands at the other end, and reads its anchors as that one does.
    const { anchors } = readAnchors(readPem(ca, '--ca'), false, role === 'server' ? 'client' : 'server', now);
    const verdict = await verifyAsALinkWould({ leaf, chain, anchors, role, name, now });
    findings.push(...confusion(leaf, chain, anchors, role, now));
    if (verdict.t === 'accepted') {
      const as = name === undefined ? '' : ` called ${name}`;
      return fine(findings, 'ACCEPTED', `a peer that trusts ${ca} accepts it as a TLS ${role}${as}`);
    }
    const { rule, text, expected, now: clock } = verdict.refusal;
    findings.push({
      verdict: 'refused',
      code: rule,
      text: `a peer that trusts ${ca} refuses it: ${text}`,
      hint: `expected ${expected.join('; ')}; the clock here says ${clock}`,
    });
  } catch (error) {
    findings.push(refusal(error));
  }
}

/**
 * Whoever holds a key that fits both ends can stand at the other one: with the key of one pod VM one would drive every
 * forwarder that has these anchors.
 */
function confusion(
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  role: TlsRole,
  now: Date,
): Finding[] {
  const [other, name, harm] =
    role === 'server'
      ? (['client', undefined, 'drive every forwarder that has these anchors'] as const)
      : (['server', MANUAL_SERVER_NAME, `stand in for a pod VM called ${MANUAL_SERVER_NAME}`] as const);
  if (verifyPeer({ leaf, chain, anchors, role: other, name, now }).t === 'refused') return [];
  return [
    {
      verdict: 'warning',
      code: 'BOTH_ROLES',
      text: `it would pass as a TLS ${other} too: whoever gets its key can ${harm}`,
      hint: `have it issued with extendedKeyUsage ${role}Auth, as peerpod certs issue does`,
    },
  ];
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

function fine(findings: Finding[], code: string, text: string): void {
  findings.push({ verdict: 'fine', code, text, hint: undefined });
}

function warn(findings: Finding[], code: string, warnings: readonly string[]): void {
  for (const text of warnings) findings.push({ verdict: 'warning', code, text, hint: undefined });
}

function refusal(error: unknown): Finding {
  const hint =
    error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
  return { verdict: 'refused', code: codeOf(error) || 'ERR_UNKNOWN', text: messageOf(error), hint };
}
