// SPDX-License-Identifier: Apache-2.0
// The ways from a leaf to an anchor whose names, identifiers and signatures hold. Whether the certificates on them are
// in order is asked in rules.ts.
import type { X509Certificate } from 'node:crypto';
import { issuerOf, nameCertificate } from '../describe.js';
import type { TlsRole } from '../role.js';
import {
  readableFacts,
  kinship,
  certificateFault,
  placeName,
  signedBy,
  type Fault,
  type Kinship,
  type Place,
} from './rules.js';
import { MAX_PATH, MAX_VERIFICATIONS } from './limits.js';
import { wildcardFault } from './name-constraints.js';

export type Path = readonly X509Certificate[];

/** Where each certificate of a path stands; the last one is the anchor where there is one. */
function placesOf(path: Path, endsAtAnchor: boolean): Place[] {
  let below = 0;
  return path.map((certificate, index) => {
    const place = { index, isAnchor: endsAtAnchor && index === path.length - 1, below };
    // RFC 5280 section 4.2.1.9: a CA certificate issued by the CA to itself, for a new key, costs no length.
    if (index > 0 && !selfIssued(certificate)) below += 1;
    return place;
  });
}

const selfIssued = (certificate: X509Certificate): boolean => {
  const facts = readableFacts(certificate);
  return 'selfIssued' in facts && facts.selfIssued;
};

/** The first thing wrong with a path whose signatures hold, seen from the leaf upwards, with the name of whose it is. */
export function pathFault(
  path: Path,
  endsAtAnchor: boolean,
  role: TlsRole,
  now: Date,
): (Fault & Place) | null {
  for (const [index, place] of placesOf(path, endsAtAnchor).entries()) {
    const certificate = path[index];
    if (certificate === undefined) continue;
    const fault = certificateFault(certificate, place, role, now);
    if (fault)
      return { ...place, rule: fault.rule, text: `${placeName(certificate, place, role)} ${fault.text}` };
  }
  const [leaf] = path;
  const [place] = placesOf(path, endsAtAnchor);
  const text = wildcardFault(path);
  if (leaf === undefined || place === undefined || text === null) return null;
  return { ...place, rule: 'name-constraint', text: `${placeName(leaf, place, role)} ${text}` };
}

/** Finds the ways from a leaf upwards through a pile of certificates, and remembers what stood in the way. */
export class PathSearch {
  readonly #pile: readonly X509Certificate[];
  readonly #anchors: ReadonlyMap<string, X509Certificate>;
  #verifications = 0;
  #cut = false;
  readonly #misses: { child: X509Certificate; issuer: X509Certificate; why: Kinship }[] = [];

  constructor(pile: readonly X509Certificate[], anchors: readonly X509Certificate[]) {
    this.#pile = pile;
    this.#anchors = new Map(anchors.map(anchor => [anchor.fingerprint256, anchor]));
  }

  /** Whether the search ended before everything was tried. */
  get exhausted(): boolean {
    return this.#verifications >= MAX_VERIFICATIONS;
  }

  /** Every way to an anchor, anchors tried before the pile. */
  *toAnchor(path: Path): Generator<Path> {
    const last = path.at(-1);
    if (!last) return;
    if (this.#anchors.has(last.fingerprint256)) {
      yield path;
      return;
    }
    for (const issuer of this.#issuersOf(path, [...this.#anchors.values(), ...this.#pile]))
      yield* this.toAnchor([...path, issuer]);
  }

  /** Every way up the pile that cannot be made longer. */
  *toTop(path: Path): Generator<Path> {
    let longer = false;
    for (const issuer of this.#issuersOf(path, this.#pile)) {
      longer = true;
      yield* this.toTop([...path, issuer]);
    }
    if (!longer) yield path;
  }

  *#issuersOf(path: Path, candidates: readonly X509Certificate[]): Generator<X509Certificate> {
    const child = path.at(-1);
    if (!child) return;
    if (path.length >= MAX_PATH) {
      this.#cut ||= candidates.some(other => !path.includes(other) && kinship(child, other) === 'issued');
      return;
    }
    const seen = new Set(path.map(other => other.fingerprint256));
    for (const issuer of candidates) {
      if (seen.has(issuer.fingerprint256)) continue;
      seen.add(issuer.fingerprint256);
      if (this.exhausted) return;
      const kin = kinship(child, issuer);
      if (kin === null) continue;
      if (kin !== 'other-identifier') this.#verifications += 1;
      if (kin === 'issued') yield issuer;
      else this.#misses.push({ child, issuer, why: kin });
    }
  }

  /** Why there is no way, in words that say no more than what was compared. */
  noPath(leaf: X509Certificate, role: TlsRole): Fault {
    if (this.exhausted) {
      return {
        rule: 'too-many-candidates',
        text: `the ${role} certificate ${nameCertificate(leaf)} was given up after ${MAX_VERIFICATIONS} signatures: too many certificates have the names of its issuers`,
      };
    }
    return (
      this.tooLong(leaf, role) ??
      this.brokenLink(role) ?? { rule: 'unknown-issuer', text: this.#unknownIssuer(leaf, role) }
    );
  }

  /** Ways there are, and longer ones than anybody follows. */
  tooLong(leaf: X509Certificate, role: TlsRole): Fault | null {
    if (!this.#cut) return null;
    return {
      rule: 'too-many-candidates',
      text: `the ${role} certificate ${nameCertificate(leaf)} has more than ${MAX_PATH} certificates on the way to its root, and no more are followed`,
    };
  }

  /** A signature by an algorithm that is not relied on, which may be why nobody seems to have made it. */
  #unreliable(role: TlsRole): Fault | null {
    for (const { child } of this.#misses) {
      const facts = readableFacts(child);
      if ('rule' in facts || facts.signatureFault === null) continue;
      return {
        rule: 'weak',
        text: `${nameCertificate(child)} of the ${role} is weak: ${facts.signatureFault}`,
      };
    }
    return null;
  }

  /** A certificate that claims a key which did not sign it, or is signed by one that it does not claim. */
  brokenLink(role: TlsRole): Fault | null {
    const unreliable = this.#unreliable(role);
    if (unreliable) return unreliable;
    const forged = this.#misses.find(({ why }) => why === 'forged');
    if (forged) {
      return {
        rule: 'bad-signature',
        text: `the signature of ${nameCertificate(forged.child)} was not made with the key of ${nameCertificate(forged.issuer)}, which it names`,
      };
    }
    const misnamed = this.#misses
      .filter(({ why }) => why === 'other-identifier')
      .slice(0, MAX_PATH)
      .find(({ child, issuer }) => signedBy(child, issuer));
    if (!misnamed) return null;
    const { child, issuer } = misnamed;
    return {
      rule: 'key-identifier',
      text: `${nameCertificate(child)} of the ${role} was signed with the key of ${nameCertificate(issuer)}, and its authorityKeyIdentifier names another: the identifiers differ, the key is the same`,
    };
  }

  /** An anchor that has the name of an issuer and not its key. */
  namesake(): X509Certificate | null {
    const miss = this.#misses.find(
      ({ child, issuer, why }) =>
        this.#anchors.has(issuer.fingerprint256) &&
        (why === 'other-key' || (why === 'other-identifier' && !signedBy(child, issuer))),
    );
    return miss?.issuer ?? null;
  }

  #unknownIssuer(leaf: X509Certificate, role: TlsRole): string {
    const anchors = [...this.#anchors.values()];
    // Follow the names as far as they go: the missing link is above the last one found.
    let top = leaf;
    const seen = new Set<X509Certificate>();
    for (let next: X509Certificate | undefined = leaf; next && !seen.has(next);) {
      top = next;
      seen.add(next);
      next = this.#pile.find(other => !seen.has(other) && top.checkIssued(other));
    }
    const who = top === leaf ? `the ${role} certificate ${nameCertificate(leaf)}` : nameCertificate(top);
    const via = top === leaf ? '' : ` (above the ${role} certificate ${nameCertificate(leaf)})`;
    const signer = top.subject === top.issuer ? 'itself' : issuerOf(top);
    const plural = anchors.length === 1 ? 'anchor' : 'anchors';
    const shown = anchors.slice(0, 3).map(nameCertificate).join(', ');
    const more = anchors.length > 3 ? ` and ${anchors.length - 3} more` : '';
    const twin = this.namesake() !== null;
    return (
      `${who}${via} was signed by ${signer}, which is none of the ${anchors.length} expected ${plural}` +
      (anchors.length === 0 ? '' : ` (${shown}${more})`) +
      (twin ? '; an anchor has that name but another key' : '')
    );
  }
}
