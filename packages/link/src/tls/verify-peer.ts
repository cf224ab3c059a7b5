// SPDX-License-Identifier: Apache-2.0
// The one place where a connected socket becomes a verified peer. Nothing here dials or listens; nothing elsewhere can
// make the type that a relay accepts as a network end.
import { Socket, isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import { atDate } from '@peerpod-tls/base';
import {
  describeCertificate,
  fingerprintOf,
  type Refusal,
  type RefusalRule,
  type TlsMaterial,
} from '@peerpod-tls/certs';
import type { Logger } from 'pino';
import { linkErrorFrom } from './node-error.js';
import { LinkError } from '../errors.js';
import { endWhenGone } from '../liveness/link-watch.js';
import { verdictOf } from './openssl-verdict.js';
import { readCertificates, type SeenCertificate } from './reading.js';

/** Both sides end a link at its expiry. The one whose clock is ahead is first, and the other reads a plain end. */
const EXPIRY_SKEW_MS = 2_000;

const verified = Symbol('verified peer');
const verifiedSockets = new WeakSet<Socket>();

/** What is known of the other end of a link. Holds no secret; made to be logged. */
export interface PeerInfo {
  /** `host:port` of the other end. */
  readonly remote: string;
  /** `host:port` of this end. */
  readonly local: string;
  /** Null on a plain link. */
  readonly tls: PeerTls | null;
  /** When the link ends by itself: the earlier expiry of both certificates. Null on a plain link. */
  readonly expiresAt: Date | null;
}

export interface PeerTls {
  readonly protocol: string;
  readonly cipher: string;
  /** Subject of the peer's certificate; empty when none was asked for. */
  readonly subject: string;
  readonly names: readonly string[];
  /** SHA-256 of the peer's certificate; empty when none was asked for. */
  readonly fingerprint: string;
  readonly notAfter: Date;
  readonly handshakeMs: number;
}

/** A network end that was verified (or is plain by the operator's loud wish). Only this module makes one. */
export interface VerifiedPeer {
  readonly [verified]: true;
  readonly socket: Socket;
  readonly peer: PeerInfo;
  /** What ended the socket, when it was an error or a certificate's expiry; null otherwise. */
  failure(): LinkError | null;
  /** Ends the link: what was written still goes out, then the socket is gone. Safe to repeat. */
  close(): void;
}

export type Verification =
  | { readonly t: 'peer'; readonly peer: VerifiedPeer }
  | { readonly t: 'refused'; readonly refusal: Refusal; readonly leaf: X509Certificate | null };

export interface VerifyInput {
  readonly socket: TLSSocket;
  /** What the peer is to us. */
  readonly role: 'server' | 'client';
  readonly material: TlsMaterial;
  /** The name a server must have. Clients are not asked for a name. */
  readonly serverName?: string | undefined;
  /** True only under the loud flag: no client certificate was asked for, so none is verified. */
  readonly anyClient?: boolean;
  readonly handshakeMs: number;
  readonly log: Logger;
  readonly now?: Date;
}

/**
 * Verifies a TLS socket whose handshake is done. OpenSSL's verdict and our own reading of the certificate (chain, dates,
 * purpose, name) must both be good; when either is not, the answer says which rule was broken and by what.
 */
export function verifyTls(i: VerifyInput): Verification {
  const leaf = i.socket.getPeerX509Certificate() ?? null;
  const verification = i.role === 'client' && i.anyClient === true ? unasked(leaf) : verifyLeaf(i, leaf);
  if (verification.t === 'refused') return { ...verification, leaf };
  const { seen } = verification;
  const leafEnd = seen?.notAfter ?? i.material.expiresAt;
  const expiresAt = leafEnd < i.material.expiresAt ? leafEnd : i.material.expiresAt;
  const info: PeerInfo = {
    ...addressesOf(i.socket),
    tls: {
      protocol: i.socket.getProtocol() ?? '',
      cipher: i.socket.getCipher().name,
      subject: seen?.subject ?? '',
      names: seen?.names ?? [],
      fingerprint: seen?.fingerprint ?? '',
      notAfter: leafEnd,
      handshakeMs: i.handshakeMs,
    },
    expiresAt,
  };
  return { t: 'peer', peer: mint(i.socket, info, i.material, i.log) };
}

/** A peer on a plain link: the operator asked for no TLS, so there is nothing to verify. */
export function acceptPlain(socket: Socket, log: Logger): VerifiedPeer {
  return mint(socket, { ...addressesOf(socket), tls: null, expiresAt: null }, null, log);
}

/** Whether this stream is a network socket that was never verified: a relay refuses to touch one. */
export function isUnverifiedNetworkEnd(stream: unknown): boolean {
  return stream instanceof Socket && stream.remoteFamily !== undefined && !verifiedSockets.has(stream);
}

/** The words for a certificate in an error: subject and fingerprint. */
export function certificateWords(certificate: X509Certificate): string {
  return `${describeCertificate(certificate).subject} (sha256 ${fingerprintOf(certificate).slice(0, 16)}…)`;
}

/** `host:port`, with the brackets an IPv6 address needs. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function addressesOf(socket: Socket): { remote: string; local: string } {
  return {
    remote: hostPort(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0),
    local: hostPort(socket.localAddress ?? 'unknown', socket.localPort ?? 0),
  };
}

/** `material` is what this end presented, for the words of errors. */
function mint(socket: Socket, peer: PeerInfo, material: TlsMaterial | null, log: Logger): VerifiedPeer {
  verifiedSockets.add(socket);
  let failure: LinkError | null = null;
  // A socket without an error listener would end the process; this one stays for the life of the socket.
  const onError = (error: unknown): void => {
    const ownCertificate = material === null ? undefined : certificateWords(material.leaf);
    failure ??= linkErrorFrom(error, { remote: peer.remote, phase: 'open', ownCertificate });
  };
  const expired = (): LinkError =>
    new LinkError('ERR_LINK_EXPIRED', `a certificate of the link to ${peer.remote} expired`);
  socket.on('error', onError);
  // Node reports errors after the handshake of a hand-made server TLSSocket only here, and leaves it open.
  socket.on('_tlsError', (error: unknown) => {
    onError(error);
    socket.destroy();
  });
  if (peer.expiresAt !== null) {
    const cancel = atDate(peer.expiresAt, () => {
      log.warn(
        { remote: peer.remote, expiresAt: peer.expiresAt },
        'link closed because a certificate expired',
      );
      onError(expired());
      socket.destroy();
    });
    socket.once('close', cancel);
    const { expiresAt } = peer;
    socket.once('end', () => {
      if (Date.now() >= expiresAt.getTime() - EXPIRY_SKEW_MS) onError(expired());
    });
  }
  endWhenGone(socket, peer.remote, log, onError);
  return {
    [verified]: true,
    socket,
    peer,
    failure: () => failure,
    close: () => {
      if (!socket.destroyed) socket.destroySoon();
    },
  };
}

/** What is known of a peer that may pass: `seen` is null for one that was not asked for a certificate and sent none. */
type LeafVerification =
  | { readonly t: 'passed'; readonly seen: SeenCertificate | null }
  | { readonly t: 'refused'; readonly refusal: Refusal };

function unasked(leaf: X509Certificate | null): LeafVerification {
  if (leaf === null) return { t: 'passed', seen: null };
  const { subject, names, fingerprint } = describeCertificate(leaf);
  return { t: 'passed', seen: { subject, names, fingerprint, notAfter: new Date(leaf.validTo) } };
}

function verifyLeaf(i: VerifyInput, leaf: X509Certificate | null): LeafVerification {
  const name = i.role === 'server' ? (i.serverName ?? '') : undefined;
  const refuse = (rule: RefusalRule, text: string): LeafVerification => ({
    t: 'refused',
    refusal: plainRefusal(i, leaf, rule, text),
  });
  if (leaf === null) return refuse('no-certificate', `the ${i.role} presented no certificate`);
  const reading = readCertificates(leaf, i.material, i.role, name, i.now ?? new Date());
  if (reading.t === 'refused') return reading;
  // Our own reading found nothing wrong. OpenSSL's and the name check of Node's must agree with it, each time anew.
  const verdict = verdictOf(i.socket);
  if (verdict !== null)
    return refuse('bad-signature', `OpenSSL refuses the certificate: ${verdict.code}, ${verdict.text}`);
  if (name !== undefined && !hasName(leaf, name))
    return refuse('wrong-name', `the certificate is not for ${JSON.stringify(name)}`);
  return { t: 'passed', seen: reading.seen };
}

function plainRefusal(
  i: VerifyInput,
  leaf: X509Certificate | null,
  rule: RefusalRule,
  text: string,
): Refusal {
  const seen = leaf === null ? null : describeCertificate(leaf);
  return {
    rule,
    text,
    ...(seen === null
      ? {}
      : {
          subject: seen.subject,
          issuer: seen.issuer,
          fingerprint: seen.fingerprint,
          notBefore: seen.notBefore,
          notAfter: seen.notAfter,
        }),
    expected: i.material.anchors
      .slice(0, 20)
      .map(a => `${describeCertificate(a).subject} sha256 ${fingerprintOf(a)}`),
    now: (i.now ?? new Date()).toISOString(),
  };
}

/** The name as a SAN of the certificate; the common name counts for nothing (RFC 9525 section 6.3). */
function hasName(leaf: X509Certificate, name: string): boolean {
  if (name === '') return false;
  return isIP(name) === 0
    ? leaf.checkHost(name, { subject: 'never' }) !== undefined
    : leaf.checkIP(name) !== undefined;
}
