// SPDX-License-Identifier: Apache-2.0
// The one place where a connected socket becomes a verified peer. Nothing here dials or listens; nothing elsewhere can
// make the type that a relay accepts as a network end.
import { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import { atDate } from '@peerpod-tls/base';
import {
  datesToShow,
  describeCertificate,
  fingerprintOf,
  makeRefusal,
  type Refusal,
  type TlsMaterial,
} from '@peerpod-tls/certs';
import type { Logger } from 'pino';
import { linkErrorFrom } from './node-error.js';
import { LinkError } from '../errors.js';
import { SESSION_PROTOCOL } from '../session/wire.js';
import { endWhenGone } from '../liveness/link-watch.js';
import { verdictOf } from './openssl-verdict.js';
import { publicKeyHash, readCertificates, type SeenCertificate } from './reading.js';

/** Both sides end a link at its expiry. The one whose clock is ahead is first, and the other reads a plain end. */
const EXPIRY_SKEW_MS = 2_000;

const verified = Symbol('verified peer');
const verifiedPeers = new WeakMap<Socket, MintedPeer>();

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
  /** SHA-256 of the public key in it, which a renewed certificate may share; empty when none was asked for. */
  readonly publicKey: string;
  /** Whether both sides agreed on a resumable link. */
  readonly session: boolean;
  readonly notAfter: Date;
  readonly handshakeMs: number;
}

/** A network end that was verified (or is plain because the operator said so loudly). Only this module makes one. */
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
  /** `leaf` is null where none was asked for and none came. Making one of a socket costs, so it is handed on. */
  | { readonly t: 'peer'; readonly peer: VerifiedPeer; readonly leaf: X509Certificate | null }
  | { readonly t: 'refused'; readonly refusal: Refusal; readonly leaf: X509Certificate | null }
  /** The socket ended meanwhile, and whoever listens to it knows. */
  | { readonly t: 'gone' };

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
 * Verifies a TLS socket whose handshake is done. OpenSSL's verdict and our own (chain, dates, purpose, name) must both
 * be good; when either is not, the answer says which rule was broken and by what. Never rejects.
 */
export async function verifyTls(i: VerifyInput): Promise<Verification> {
  const leaf = i.socket.getPeerX509Certificate() ?? null;
  const verification =
    i.role === 'client' && i.anyClient === true ? unasked(leaf) : await verifyLeaf(i, leaf);
  if (i.socket.destroyed) return { t: 'gone' };
  if (verification.t === 'refused') return { ...verification, leaf };
  const { seen } = verification;
  const peerEnd = seen?.validUntil ?? i.material.expiresAt;
  const expiresAt = peerEnd < i.material.expiresAt ? peerEnd : i.material.expiresAt;
  const info: PeerInfo = {
    ...addressesOf(i.socket),
    tls: {
      protocol: i.socket.getProtocol() ?? '',
      cipher: i.socket.getCipher().name,
      subject: seen?.subject ?? '',
      names: seen?.names ?? [],
      fingerprint: seen?.fingerprint ?? '',
      publicKey: seen?.publicKey ?? '',
      session: i.socket.alpnProtocol === SESSION_PROTOCOL,
      notAfter: seen?.notAfter ?? i.material.expiresAt,
      handshakeMs: i.handshakeMs,
    },
    expiresAt,
  };
  return { t: 'peer', peer: new MintedPeer(i.socket, info, i.material, i.log), leaf };
}

/** A peer on a plain link: the operator asked for no TLS, so there is nothing to verify. */
export function acceptPlain(socket: Socket, log: Logger): VerifiedPeer {
  return new MintedPeer(socket, { ...addressesOf(socket), tls: null, expiresAt: null }, null, log);
}

/** Whether this stream is a network socket that was never verified: a relay refuses to touch one. */
export function isUnverifiedNetworkEnd(stream: unknown): boolean {
  return stream instanceof Socket && stream.remoteFamily !== undefined && !verifiedPeers.has(stream);
}

/** The words for a certificate in an error: subject and fingerprint. */
export function certificateText(certificate: X509Certificate): string {
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

/** The one kind of verified peer. Many stand idle, so its listeners are shared by all: each costs memory per link else. */
class MintedPeer implements VerifiedPeer {
  readonly [verified] = true;
  readonly socket: Socket;
  readonly peer: PeerInfo;
  readonly #log: Logger;
  /** What this end presented, for the words of errors. */
  readonly #material: TlsMaterial | null;
  readonly #cancelExpiry: (() => void) | null;
  #failure: LinkError | null = null;

  constructor(socket: Socket, peer: PeerInfo, material: TlsMaterial | null, log: Logger) {
    this.socket = socket;
    this.peer = peer;
    this.#material = material;
    this.#log = log;
    verifiedPeers.set(socket, this);
    // A socket without an error listener would end the process; this one stays for the life of the socket.
    socket.on('error', onError);
    socket.on('_tlsError', onTlsError);
    this.#cancelExpiry = peer.expiresAt === null ? null : atDate(peer.expiresAt, () => this.#expire());
    if (this.#cancelExpiry !== null) socket.on('close', onClosed).on('end', onEnd);
    endWhenGone(socket, peer.remote, log, error => this.fail(error));
  }

  /** Bound, as `close` is: both are handed on by themselves. */
  readonly failure = (): LinkError | null => this.#failure;

  /** Also called by itself, as a clean-up. */
  readonly close = (): void => {
    if (!this.socket.destroyed) this.socket.destroySoon();
  };

  /** The first of several failures is what ended the link. */
  fail(error: unknown): void {
    const ownCertificate = this.#material === null ? undefined : certificateText(this.#material.leaf);
    this.#failure ??= linkErrorFrom(error, { remote: this.peer.remote, phase: 'open', ownCertificate });
  }

  ended(): void {
    const { expiresAt } = this.peer;
    if (expiresAt !== null && Date.now() >= expiresAt.getTime() - EXPIRY_SKEW_MS) this.#failExpired();
  }

  closed(): void {
    this.#cancelExpiry?.();
  }

  #expire(): void {
    const { remote, expiresAt } = this.peer;
    this.#log.warn({ remote, expiresAt }, 'link closed because a certificate expired');
    this.#failExpired();
    this.socket.destroy();
  }

  #failExpired(): void {
    const text = `a certificate of the link to ${this.peer.remote} expired`;
    this.fail(new LinkError('ERR_LINK_EXPIRED', text));
  }
}

function onError(this: Socket, error: unknown): void {
  verifiedPeers.get(this)?.fail(error);
}

/** Node reports errors after the handshake of a hand-made server TLSSocket only by this, and leaves it open. */
function onTlsError(this: Socket, error: unknown): void {
  verifiedPeers.get(this)?.fail(error);
  this.destroy();
}

function onEnd(this: Socket): void {
  verifiedPeers.get(this)?.ended();
}

function onClosed(this: Socket): void {
  verifiedPeers.get(this)?.closed();
}

/** What is known of a peer that may pass: `seen` is null for one that was not asked for a certificate and sent none. */
type LeafVerification =
  | { readonly t: 'passed'; readonly seen: SeenCertificate | null }
  | { readonly t: 'refused'; readonly refusal: Refusal };

function unasked(leaf: X509Certificate | null): LeafVerification {
  const dates = leaf === null ? null : datesToShow(leaf);
  if (leaf === null || dates === null) return { t: 'passed', seen: null };
  const { subject, names, fingerprint } = describeCertificate(leaf);
  return {
    t: 'passed',
    seen: {
      subject,
      names,
      fingerprint,
      publicKey: publicKeyHash(leaf),
      notAfter: dates.notAfter,
      validUntil: dates.notAfter,
    },
  };
}

async function verifyLeaf(i: VerifyInput, leaf: X509Certificate | null): Promise<LeafVerification> {
  const { role, material, now = new Date() } = i;
  if (leaf === null) {
    const fault = { rule: 'no-certificate', text: `the ${role} presented no certificate` } as const;
    return { t: 'refused', refusal: makeRefusal(fault, null, material.anchors, now) };
  }
  const name = role === 'server' ? (i.serverName ?? '') : undefined;
  const reading = await readCertificates(leaf, material, role, name, verdictOf(i.socket), now);
  return reading.t === 'refused' ? reading : { t: 'passed', seen: reading.seen };
}
