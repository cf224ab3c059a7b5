// SPDX-License-Identifier: Apache-2.0
// Why a peer's certificate is refused, in words for the person who has to put it right. Verifies like the verifiers of
// OpenSSL (with partial chains) and Go, by the same rules as checkMaterial. No sockets: the caller brings the
// certificates.
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { validityOf } from '../issue/certificate.js';
import { fingerprintOf, isoTime, issuerOf, nameCertificate, subjectOf } from '../describe.js';
import { factsOf, type CertificateFacts } from '../encoding/extensions.js';
import type { TlsRole } from '../role.js';
import {
  dateFault,
  issuedBy,
  issuerFault,
  keyFault,
  leafPurposeFault,
  purposeFault,
  signatureFault,
} from './rules.js';

export type RefusalRule =
  | 'no-certificate'
  | 'unreadable'
  | 'unknown-issuer'
  | 'bad-signature'
  | 'expired'
  | 'not-yet-valid'
  | 'wrong-purpose'
  | 'wrong-name'
  | 'weak'
  | 'issuer-not-allowed'
  | 'unknown-critical-extension';

/** Everything the two people at the ends of a refused link need, safe to log. Times are ISO 8601, UTC. */
export interface Refusal {
  readonly rule: RefusalRule;
  /** One sentence. */
  readonly text: string;
  readonly subject?: string;
  readonly issuer?: string;
  /** SHA-256 of the refused leaf. */
  readonly fingerprint?: string;
  readonly notBefore?: string;
  readonly notAfter?: string;
  /** The anchors, each as `subject sha256 fingerprint`; at most 20. */
  readonly expected: readonly string[];
  /** What the clock of the side that refused said. */
  readonly now: string;
}

export interface RefusalOptions {
  /** The DNS name or IP address the peer must be. Only a server is asked for one. */
  readonly name?: string;
  /** Default the clock. */
  readonly now?: Date;
}

/** Longer chains than this are nobody's deployment. */
const MAX_PATH = 8;
/** A peer chooses the chain, so it may not choose how many signatures we verify. */
const MAX_VERIFICATIONS = 32;
const MAX_SHOWN = 20;

interface Fault {
  readonly rule: RefusalRule;
  readonly text: string;
}

/**
 * How a peer was read. An acceptance holds for the same certificates, anchors, role and name between the two times, in
 * milliseconds since 1970: all certificates on the way to the anchor are valid then. NaN where a date is not readable.
 */
export type PeerReading =
  | { readonly t: 'refused'; readonly refusal: Refusal }
  | { readonly t: 'accepted'; readonly notBefore: number; readonly notAfter: number };

/**
 * Verifies a leaf the peer presented, with the certificates it sent along, against our anchors. An anchor that is no CA
 * vouches for itself alone. `role` is the peer's. Returns null for a peer to be accepted. Name constraints are the one
 * thing left to OpenSSL.
 */
export function explainRefusal(
  leaf: X509Certificate | null,
  chain: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  role: TlsRole,
  options: RefusalOptions = {},
): Refusal | null {
  const reading = readPeer(leaf, chain, anchors, role, options);
  return reading.t === 'refused' ? reading.refusal : null;
}

/** The verification of `explainRefusal`, with how long an acceptance holds. */
export function readPeer(
  leaf: X509Certificate | null,
  chain: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  role: TlsRole,
  { name, now = new Date() }: RefusalOptions = {},
): PeerReading {
  const found = verify(leaf, chain, anchors, role, name, now);
  if (!('rule' in found)) {
    const dates = found.map(validityOf);
    return {
      t: 'accepted',
      notBefore: Math.max(...dates.map(({ notBefore }) => notBefore.getTime())),
      notAfter: Math.min(...dates.map(({ notAfter }) => notAfter.getTime())),
    };
  }
  const refusal = {
    ...found,
    ...(leaf ? facts(leaf) : {}),
    expected: anchors
      .slice(0, MAX_SHOWN)
      .map(anchor => `${subjectOf(anchor)} sha256 ${fingerprintOf(anchor)}`),
    now: now.toISOString(),
  };
  return { t: 'refused', refusal };
}

function facts(leaf: X509Certificate): Omit<Refusal, 'rule' | 'text' | 'expected' | 'now'> {
  const { notBefore, notAfter } = validityOf(leaf);
  return {
    subject: subjectOf(leaf),
    issuer: issuerOf(leaf),
    fingerprint: fingerprintOf(leaf),
    notBefore: isoTime(notBefore),
    notAfter: isoTime(notAfter),
  };
}

/** The way to an anchor that is in order, leaf first; or the first thing found wrong. */
function verify(
  leaf: X509Certificate | null,
  chain: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  role: TlsRole,
  name: string | undefined,
  now: Date,
): readonly X509Certificate[] | Fault {
  if (!leaf) return { rule: 'no-certificate', text: `the ${role} presented no certificate` };
  const search = new PathSearch(chain, anchors);
  let first: Fault | null = null;
  for (const path of search.from([leaf])) {
    const fault = pathFault(path, role, now) ?? nameFault(leaf, role, name);
    if (!fault) return path;
    first ??= fault;
  }
  return first ?? search.noPath(leaf, role);
}

/** Finds the ways from a leaf to an anchor, and remembers the first signature that did not hold. */
class PathSearch {
  readonly #chain: readonly X509Certificate[];
  readonly #anchors: ReadonlyMap<string, X509Certificate>;
  #verifications = 0;
  #forged: Fault | null = null;

  constructor(chain: readonly X509Certificate[], anchors: readonly X509Certificate[]) {
    this.#chain = chain;
    this.#anchors = new Map(anchors.map(anchor => [anchor.fingerprint256, anchor]));
  }

  *from(path: readonly X509Certificate[]): Generator<readonly X509Certificate[]> {
    const last = path.at(-1);
    if (!last) return;
    if (this.#anchors.has(last.fingerprint256)) {
      yield path;
      return;
    }
    if (path.length >= MAX_PATH) return;
    for (const issuer of [...this.#anchors.values(), ...this.#chain]) {
      if (path.some(other => other.fingerprint256 === issuer.fingerprint256)) continue;
      if (last.issuer !== issuer.subject) continue;
      this.#verifications += 1;
      if (this.#verifications > MAX_VERIFICATIONS) return;
      const answer = issuedBy(last, issuer);
      if (answer === 'yes') yield* this.from([...path, issuer]);
      else if (answer === 'bad-signature') {
        this.#forged ??= {
          rule: 'bad-signature',
          text: `the signature of ${nameCertificate(last)} was not made with the key of ${nameCertificate(issuer)}`,
        };
      }
    }
  }

  noPath(leaf: X509Certificate, role: TlsRole): Fault {
    if (this.#forged) return this.#forged;
    const anchors = [...this.#anchors.values()];
    // Follow the names as far as they go: the missing link is above the last one found.
    let top = leaf;
    const seen = new Set<X509Certificate>();
    for (let next: X509Certificate | undefined = leaf; next && !seen.has(next);) {
      top = next;
      seen.add(next);
      next = this.#chain.find(other => !seen.has(other) && top.checkIssued(other));
    }
    const who = top === leaf ? `the ${role} certificate ${nameCertificate(leaf)}` : nameCertificate(top);
    const via = top === leaf ? '' : ` (above the ${role} certificate ${nameCertificate(leaf)})`;
    const signer = top.subject === top.issuer ? 'itself' : issuerOf(top);
    const plural = anchors.length === 1 ? 'anchor' : 'anchors';
    const shown = anchors.slice(0, 3).map(nameCertificate).join(', ');
    const more = anchors.length > 3 ? ` and ${anchors.length - 3} more` : '';
    const sameName = anchors.some(anchor => anchor.subject === top.issuer);
    return {
      rule: 'unknown-issuer',
      text:
        `${who}${via} was signed by ${signer}, which is none of the ${anchors.length} expected ${plural}` +
        (anchors.length === 0 ? '' : ` (${shown}${more})`) +
        (sameName ? '; an anchor has that name but another key' : ''),
    };
  }
}

/** The first thing wrong with a path whose signatures hold, seen from the leaf upwards. */
function pathFault(path: readonly X509Certificate[], role: TlsRole, now: Date): Fault | null {
  for (const [index, certificate] of path.entries()) {
    const isAnchor = index === path.length - 1;
    const what = index === 0 ? `the ${role} certificate` : isAnchor ? 'the anchor' : 'the intermediate CA';
    const fault = certificateFault(certificate, index, isAnchor, role, now);
    if (fault) return { rule: fault.rule, text: `${what} ${nameCertificate(certificate)} ${fault.text}` };
  }
  return null;
}

function certificateFault(
  certificate: X509Certificate,
  index: number,
  isAnchor: boolean,
  role: TlsRole,
  now: Date,
): Fault | null {
  let facts: CertificateFacts;
  try {
    facts = factsOf(certificate);
  } catch {
    return { rule: 'unreadable', text: 'is not properly encoded (DER)' };
  }
  const { notBefore, notAfter } = validityOf(certificate);
  const dates = dateFault(certificate, now);
  if (dates === 'expired') {
    return { rule: dates, text: `expired at ${isoTime(notAfter)}; the clock here says ${now.toISOString()}` };
  }
  if (dates === 'not-yet-valid') {
    return {
      rule: dates,
      text: `is valid from ${isoTime(notBefore)} on; the clock here says ${now.toISOString()}`,
    };
  }
  const purpose = index === 0 ? leafPurposeFault(facts, role) : purposeFault(facts, role);
  if (purpose) return { rule: 'wrong-purpose', text: `cannot be used for a TLS ${role}: ${purpose}` };
  const issuing = index === 0 ? null : issuerFault(facts, index - 1);
  if (issuing) return { rule: 'issuer-not-allowed', text: `may not issue certificates: ${issuing}` };
  // An anchor is trusted as it stands: who signed it with what does not matter any more.
  const weak = keyFault(certificate) ?? (isAnchor ? null : signatureFault(facts));
  if (weak) return { rule: 'weak', text: `is weak: ${weak}` };
  if (facts.unknownCritical.length > 0) {
    return {
      rule: 'unknown-critical-extension',
      text: `has critical extensions unknown here (${facts.unknownCritical.slice(0, 5).join(', ')})`,
    };
  }
  return null;
}

function nameFault(leaf: X509Certificate, role: TlsRole, name: string | undefined): Fault | null {
  if (role !== 'server' || name === undefined) return null;
  const matches =
    isIP(name) === 0
      ? // As Go has it: the common name never counts, and a wildcard stands for one whole label.
        leaf.checkHost(name, { subject: 'never', partialWildcards: false })
      : leaf.checkIP(name);
  if (matches !== undefined) return null;
  const { dnsNames, addresses } = factsOf(leaf);
  const names = [...dnsNames, ...addresses];
  const shown = names.length === 0 ? 'no name at all' : names.slice(0, 5).join(', ');
  return {
    rule: 'wrong-name',
    text: `the server certificate ${nameCertificate(leaf)} is for ${shown}${names.length > 5 ? ', …' : ''}, and ${name} was dialled`,
  };
}
