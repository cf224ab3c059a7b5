// SPDX-License-Identifier: Apache-2.0
// Our own verification of what a peer presents: which ways to an anchor are in order, or which rule was broken, in words
// for the person who has to put it right. OpenSSL is asked beside it, by link. No sockets: the caller brings the
// certificates.
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { nameCertificate } from '../describe.js';
import type { TlsRole } from '../role.js';
import { factsOf } from './facts.js';
import { pathFault, PathSearch, type Path } from './paths.js';
import { makeRefusal, type Refusal } from './refusal.js';
import type { Fault } from './rules.js';

export interface PeerCertificates {
  /** Null when it presented none. */
  readonly leaf: X509Certificate | null;
  /** What it sent beside the leaf, in any order. */
  readonly chain: readonly X509Certificate[];
  /** What we trust. One that is no CA vouches for itself alone. */
  readonly anchors: readonly X509Certificate[];
  /** The peer's. */
  readonly role: TlsRole;
  /** The DNS name or IP address the peer must be. Only a server is asked for one. */
  readonly name?: string | undefined;
  /** Default the clock. */
  readonly now?: Date | undefined;
}

/** A way from the leaf to an anchor that is in order, between its two times in milliseconds since 1970. */
export interface AcceptedPath {
  readonly certificates: Path;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** `paths` holds at least one, the one that holds longest first. */
export type PeerVerification =
  | { readonly t: 'refused'; readonly refusal: Refusal }
  | { readonly t: 'accepted'; readonly paths: readonly AcceptedPath[] };

/** As many ways as anybody has reason to offer: old and new root, each direct and by a cross-sign. */
const MAX_PATHS = 4;

/** Verifies a leaf the peer presented, with the certificates it sent along, against our anchors. */
export function verifyPeer(peer: PeerCertificates): PeerVerification {
  const { leaf, anchors, now = new Date() } = peer;
  const found = acceptedPaths(peer, now);
  if ('rule' in found) return { t: 'refused', refusal: makeRefusal(found, leaf, anchors, now) };
  return { t: 'accepted', paths: found };
}

function acceptedPaths(
  { leaf, chain, anchors, role, name }: PeerCertificates,
  now: Date,
): AcceptedPath[] | Fault {
  if (!leaf) return { rule: 'no-certificate', text: `the ${role} presented no certificate` };
  const search = new PathSearch(chain, anchors);
  const good: AcceptedPath[] = [];
  let first: Fault | null = null;
  for (const path of search.toAnchor([leaf])) {
    const fault = pathFault(path, true, role, now) ?? nameFault(leaf, role, name);
    if (fault) first ??= fault;
    else if (good.push(datedPath(path)) >= MAX_PATHS) break;
  }
  if (good.length > 0) return good.toSorted((a, b) => b.notAfter - a.notAfter);
  return first ?? search.noPath(leaf, role);
}

export function datedPath(path: Path): AcceptedPath {
  const dates = path.map(factsOf);
  return {
    certificates: path,
    notBefore: Math.max(...dates.map(({ notBefore }) => notBefore.getTime())),
    notAfter: Math.min(...dates.map(({ notAfter }) => notAfter.getTime())),
  };
}

function nameFault(leaf: X509Certificate, role: TlsRole, name: string | undefined): Fault | null {
  if (role !== 'server' || name === undefined) return null;
  const matches =
    isIP(name) === 0
      ? // As Go has it: the common name never counts, and a wildcard stands for one whole label.
        name !== '' && leaf.checkHost(name, { subject: 'never', partialWildcards: false }) !== undefined
      : leaf.checkIP(name) !== undefined;
  if (matches) return null;
  const { dnsNames, addresses } = factsOf(leaf);
  const names = [...dnsNames, ...addresses];
  const shown = names.length === 0 ? 'no name at all' : names.slice(0, 5).join(', ');
  return {
    rule: 'wrong-name',
    text: `the server certificate ${nameCertificate(leaf)} is for ${shown}${names.length > 5 ? ', …' : ''}, and ${name} was dialled`,
  };
}
