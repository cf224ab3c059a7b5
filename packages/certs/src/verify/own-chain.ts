// SPDX-License-Identifier: Apache-2.0
// Of the certificates in our own file: which one is the leaf, which of the others lie on a way up from it and are sent,
// in which order, and what is said of the rest. The way in use decides, not the file.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { nameCertificate } from '../describe.js';
import { certificateBlocks } from '../encoding/certificates.js';
import { nameOrigin, type Origin, type PemSource } from '../encoding/source.js';
import { CertError } from '../errors.js';
import type { TlsRole } from '../role.js';
import { datedPath } from './peer-path.js';
import { pathFault, PathSearch, type Path } from './paths.js';
import { dateFault, readableFacts, sameCertificate, type Fault } from './rules.js';

export interface OwnChain {
  /** What is sent: the leaf, then upwards, each once. */
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]];
  /** The way in use: from the leaf to one of our own anchors where there is a way, to the top of our file otherwise. */
  readonly path: Path;
  readonly reachesAnchors: boolean;
  /** When the first certificate of the way in use expires. */
  readonly expiresAt: Date;
  readonly warnings: readonly string[];
}

/** A fault of our own certificates: which one, and what. */
export type OwnFault = Fault & { readonly index: number; readonly certificate: X509Certificate };

export interface Candidates {
  readonly leaf: X509Certificate;
  readonly pile: readonly X509Certificate[];
  /** Of each, its number in the file. */
  readonly numbers: ReadonlyMap<X509Certificate, number>;
  readonly warnings: readonly string[];
  /** Blocks that were meant as certificates and are none. */
  readonly unreadable: readonly string[];
}

/** The certificates of a file, each once; the first of them taken for the leaf. */
export function presentedCertificates(cert: PemSource): Candidates {
  const { certificates, odd, unreadable } = certificateBlocks(cert);
  const where = nameOrigin(cert);
  const numbers = new Map(certificates.map(({ certificate }, index) => [certificate, index + 1]));
  const all: X509Certificate[] = [];
  const warnings = odd.map(text => `${text}; it is not sent`);
  for (const [certificate, number] of numbers) {
    const twin = all.find(other => sameCertificate(other, certificate));
    if (twin)
      warnings.push(
        `certificate ${number} in ${where} is certificate ${numbers.get(twin)} again; it is sent once`,
      );
    else all.push(certificate);
  }
  const [leaf, ...pile] = all;
  if (leaf) return { leaf, pile, numbers, warnings, unreadable };
  throw unreadableBlock(odd[0] ?? `${where} holds no certificate that can be read`);
}

export const unreadableBlock = (text: string): CertError =>
  new CertError('ERR_CERT_UNREADABLE', text, { hint: 'copy the file again, or have it issued again' });

/** The same with the leaf that the key belongs to. Throws ERR_CERT_KEY_MISMATCH. */
export function ownCertificates(cert: PemSource, key: KeyObject, keyOrigin: Origin): Candidates {
  const { leaf: first, pile, numbers, warnings, unreadable } = presentedCertificates(cert);
  const where = nameOrigin(cert);
  const all = [first, ...pile];
  const mine = all.filter(certificate => belongs(certificate, key));
  const leaf = mine.find(certificate => !certificate.ca) ?? mine[0];
  if (!leaf) {
    const [bad] = unreadable;
    if (bad !== undefined) throw unreadableBlock(bad);
    throw new CertError(
      'ERR_CERT_KEY_MISMATCH',
      `the key in ${nameOrigin(keyOrigin)} does not belong to the certificate in ${where}, ${nameCertificate(first)}`,
      { hint: `give ${cert.flag} and ${keyOrigin.flag} files that were made together` },
    );
  }
  const moved =
    leaf === first ? [] : [`the leaf is certificate ${numbers.get(leaf)} in ${where}; it is sent first`];
  return {
    leaf,
    pile: all.filter(other => other !== leaf),
    numbers,
    warnings: [...warnings, ...moved],
    unreadable,
  };
}

function belongs(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.checkPrivateKey(key);
  } catch {
    return false;
  }
}

/** Finds the way in use, or the fault that keeps every way from being used. */
export function ownChain(
  { leaf, pile, numbers, warnings }: Candidates,
  anchors: readonly X509Certificate[],
  role: TlsRole,
  cert: PemSource,
  now: Date,
): OwnChain | OwnFault {
  const where = nameOrigin(cert);
  const search = new PathSearch(pile, anchors);
  const toAnchor = [...search.toAnchor([leaf])];
  const reachesAnchors = toAnchor.length > 0;
  // An anchor's key made the signature and OpenSSL will not have it, or was claimed to have made it: no other anchors help.
  const broken = reachesAnchors ? null : (search.tooLong(leaf, role) ?? search.brokenLink(role));
  if (broken) return { ...broken, index: 0, certificate: leaf };
  const ways = reachesAnchors ? toAnchor : [...new PathSearch(pile, []).toTop([leaf])];
  const looked = ways.map(way => ({ way, fault: pathFault(way, reachesAnchors, role, now) }));
  const usable = looked.flatMap(({ way, fault }) => {
    if (fault === null) return [way];
    // Nobody here knows what peers trust. Above the direct issuer a bad certificate may be a cross-sign they need not.
    return !reachesAnchors && fault.index >= 2 ? [way.slice(0, fault.index)] : [];
  });
  const [best] = usable.toSorted(
    (a, b) => (reachesAnchors ? 0 : b.length - a.length) || datedPath(b).notAfter - datedPath(a).notAfter,
  );
  if (!best) {
    const [bad] = looked;
    const fault = bad?.fault;
    if (!bad || !fault) throw new Error('internal error: a leaf without a way up and without a fault');
    return { ...fault, certificate: bad.way[fault.index] ?? leaf };
  }
  // The anchors are other objects than the same certificates in the file.
  const inFile = new Map([leaf, ...pile].map(other => [other.fingerprint256, other]));
  const ofFile = (way: Path): X509Certificate[] =>
    way.flatMap(other => inFile.get(other.fingerprint256) ?? []);
  const sent = ofFile(best);
  const all = [...warnings];
  const namesake = reachesAnchors ? null : search.namesake();
  if (namesake) {
    all.push(
      `the certificate in ${where}, ${nameCertificate(leaf)}, was issued by a CA that has the name of the anchor ${nameCertificate(namesake)} and another key: a peer with these anchors refuses it`,
    );
  }
  // Other good ways up may be the ones that somebody's anchors are at the end of.
  for (const other of usable.flatMap(ofFile)) if (!sent.includes(other)) sent.push(other);
  const order = sent.map(certificate => numbers.get(certificate) ?? 0);
  if (order.some((number, i) => i > 0 && number < (order[i - 1] ?? 0)) && sent[0] === [...numbers.keys()][0])
    all.push(
      `the certificates in ${where} do not stand leaf first and then upwards; they are sent in that order`,
    );
  for (const other of pile) {
    if (sent.includes(other)) continue;
    const why = looked.find(
      ({ way, fault }) => fault !== null && way[fault.index]?.fingerprint256 === other.fingerprint256,
    )?.fault?.text;
    all.push(`certificate ${numbers.get(other)} in ${where} is not sent: ${why ?? unneeded(other, now)}`);
  }
  return {
    certificates: [leaf, ...sent.filter(other => other !== leaf)],
    path: best,
    reachesAnchors,
    // What a peer may be able to do without does not end a link either.
    expiresAt: new Date(datedPath(reachesAnchors ? best : best.slice(0, 2)).notAfter),
    warnings: all,
  };
}

function unneeded(certificate: X509Certificate, now: Date): string {
  const facts = readableFacts(certificate);
  const name = nameCertificate(certificate);
  const fault = 'rule' in facts ? facts : dateFault(facts, now);
  return `${name} ${fault?.text ?? 'signed nothing on the way from the leaf'}`;
}
