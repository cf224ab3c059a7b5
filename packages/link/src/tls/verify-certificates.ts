// SPDX-License-Identifier: Apache-2.0
// The one verdict on certificates, for a link, for the start of a program, for a reload and for `certs inspect` alike:
// our own verification finds the ways to an anchor that are in order, and OpenSSL must agree with one of them.
import {
  opensslRefusal,
  verifyPeer,
  type AcceptedPath,
  type OpensslRefusal,
  type PeerCertificates,
  type Refusal,
} from '@peerpod-tls/certs';
import { verdictOnCertificates } from './openssl-verdict.js';

export type Verdict =
  | { readonly t: 'refused'; readonly refusal: Refusal }
  | {
      readonly t: 'accepted';
      readonly path: AcceptedPath;
      /** Whether OpenSSL had to be shown the way, and so may be taken to agree with these certificates again. */
      readonly alongPath: boolean;
    };

/**
 * The verdict, given what OpenSSL said of the same certificates in a handshake (null when it accepted them). OpenSSL
 * takes the first issuer of the right name that it meets and does not turn back; where that was the wrong one of
 * several, it is asked again with the way that was found and nothing else.
 */
export async function verifyCertificates(
  peer: PeerCertificates,
  inHandshake: OpensslRefusal | null,
): Promise<Verdict> {
  const ours = verifyPeer(peer);
  if (ours.t === 'refused') return ours;
  const [best] = ours.paths;
  if (best === undefined) throw new Error('internal error: accepted along no path');
  if (inHandshake === null) return { t: 'accepted', path: best, alongPath: false };
  let first: OpensslRefusal | null = null;
  for (const path of ours.paths) {
    const { certificates } = path;
    const anchor = certificates.slice(-1);
    const presented = certificates.length > 1 ? certificates.slice(0, -1) : certificates;
    const said = await verdictOnCertificates(presented, anchor, peer.role);
    if (said === null) return { t: 'accepted', path, alongPath: true };
    first ??= said;
  }
  const { anchors, role, now = new Date() } = peer;
  return {
    t: 'refused',
    refusal: opensslRefusal(first ?? inHandshake, best.certificates, anchors, role, now),
  };
}

/** The verdict that a link would come to if somebody presented these certificates. Needs no key and no network. */
export async function verifyAsALinkWould(peer: PeerCertificates): Promise<Verdict> {
  const { leaf, chain, role } = peer;
  if (leaf === null) return verifyCertificates(peer, null);
  const presented = [leaf, ...chain];
  const names = new Set(presented.map(({ issuer }) => issuer));
  const prints = new Set(presented.map(({ fingerprint256 }) => fingerprint256));
  // The others cannot be on any way, and a list of all of them may be longer than TLS allows.
  const anchors = peer.anchors.filter(
    ({ subject, fingerprint256 }) => names.has(subject) || prints.has(fingerprint256),
  );
  if (anchors.length === 0) return verifyCertificates(peer, null);
  return verifyCertificates(peer, await verdictOnCertificates(presented, anchors, role));
}
