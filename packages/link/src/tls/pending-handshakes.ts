// SPDX-License-Identifier: Apache-2.0
// Connections whose handshake is not done: each has a deadline, all together a cap, and none of them can throw into the
// process. Knows nothing of links that stand.
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { codeOf, messageOf } from '@peerpod-tls/base';
import { makeRefusal, type Refusal, type TlsMaterial } from '@peerpod-tls/certs';
import type { Logger } from 'pino';
import { SESSION_PROTOCOL } from '../session/wire.js';
import { classifyHello } from './hello.js';
import { linkErrorFrom } from './node-error.js';
import type { PeerRefusal, PeerRefusalRule } from './refusal-log.js';
import { contextOf, type ListenSecurity } from './security.js';
import { certificateText, verifyTls, type VerifiedPeer } from './verify-peer.js';

export interface PendingHandshakeOptions {
  readonly security: Exclude<ListenSecurity, { t: 'plain' }>;
  /** From accept to the end of the handshake, in milliseconds. */
  readonly timeoutMs: number;
  /** Beyond so many the oldest gives way, those that said nothing first. */
  readonly max: number;
  /** Whether links may be resumable. */
  readonly session: boolean;
  readonly log: Logger;
  /** Why a verified client may not come in all the same, in one sentence, or null. */
  admit(leaf: X509Certificate): string | null;
  onVerified(peer: VerifiedPeer, address: string): void;
  onRefused(refusal: PeerRefusal): void;
}

interface Pending {
  readonly raw: Socket;
  readonly remote: string;
  readonly address: string;
  /** Null once it is settled. */
  timer: NodeJS.Timeout | null;
  tls: TLSSocket | null;
  readonly onClose: () => void;
}

/** How long a refused peer may take to read the end, in milliseconds. */
const LINGER_MS = 1_000;

export class PendingHandshakes {
  readonly #o: PendingHandshakeOptions;
  /** Oldest first. Silent ones have not sent a byte; the others are in their handshake. */
  readonly #silent = new Set<Pending>();
  readonly #speaking = new Set<Pending>();

  constructor(options: PendingHandshakeOptions) {
    this.#o = options;
  }

  /** Takes a connection over until it is verified or refused. */
  add(raw: Socket, remote: string, address: string): void {
    if (this.#silent.size + this.#speaking.size >= this.#o.max) this.#evictOldest();
    const onClose = (): void => this.#onGone(pending);
    const pending: Pending = { raw, remote, address, timer: null, tls: null, onClose };
    pending.timer = setTimeout(() => this.#onTimeout(pending), this.#o.timeoutMs);
    this.#silent.add(pending);
    raw.on('error', ignore).on('close', onClose);
    // Until the first byte a connection costs a socket and a timer, no TLS state.
    raw.once('readable', () => this.#safely(pending, () => this.#onFirstBytes(pending)));
  }

  /** Drops them all. */
  clear(): void {
    for (const pending of [...this.#silent, ...this.#speaking]) this.#drop(pending);
  }

  /** A connection is never worth the process: what goes wrong with it by our own doing is its refusal. */
  #safely(pending: Pending, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#failed(pending, error);
    }
  }

  #failed(pending: Pending, error: unknown): void {
    const text = messageOf(error);
    this.#o.log.error({ remote: pending.remote, error: text }, 'handshake failed on this side');
    this.#refuse(pending, 'handshake-failed', `this side could not do the handshake: ${text}`);
  }

  #onFirstBytes(pending: Pending): void {
    const { raw, remote } = pending;
    if (!this.#silent.delete(pending)) return;
    this.#speaking.add(pending);
    const head: unknown = raw.read();
    if (!Buffer.isBuffer(head)) return this.#onGone(pending);
    const hello = classifyHello(head);
    if (hello !== null) return this.#refuse(pending, hello.rule, hello.text);
    raw.unshift(head);
    const { security } = this.#o;
    const started = performance.now();
    const material = security.material();
    const requestCert = security.t === 'tls';
    // Only to one that names it: Node ends the handshake of a peer that offers other protocols and none of ours. Without a
    // certificate nobody could be told from anybody else, so there is no session either.
    const session = this.#o.session && requestCert && head.includes(SESSION_PROTOCOL);
    // Not through tls.Server: it forgets why it rejected a certificate, and ignores allowPartialTrustChain. With
    // rejectUnauthorized a peer without any certificate is told so by a TLS alert; others are verified afterwards.
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext: contextOf(material, security.profile),
      requestCert,
      rejectUnauthorized: requestCert,
      ...(session ? { ALPNProtocols: [SESSION_PROTOCOL] } : {}),
    });
    pending.tls = socket;
    const onError = (error: unknown): void => {
      if (!this.#speaking.has(pending)) return;
      const code = codeOf(error);
      if (code.includes('PEER_DID_NOT_RETURN_A_CERTIFICATE')) {
        return this.#refuseCertificate(pending, noCertificate(material));
      }
      if (code === 'ECONNRESET' || code === 'EPIPE')
        return this.#refuse(pending, 'hung-up', 'it hung up during the handshake');
      const ownCertificate = certificateText(material.leaf);
      const ours = linkErrorFrom(error, { remote, phase: 'handshake', ownCertificate });
      const rule = ours.code === 'ERR_LINK_TLS_REFUSED' ? 'refused-by-peer' : 'handshake-failed';
      this.#refuse(pending, rule, ours.message);
    };
    socket.on('error', onError);
    socket.on('_tlsError', onError);
    const onSecure = async (): Promise<void> => {
      if (!this.#speaking.has(pending)) return;
      const verification = await verifyTls({
        socket,
        role: 'client',
        material,
        anyClient: !requestCert,
        handshakeMs: Math.round((performance.now() - started) * 1000) / 1000,
        log: this.#o.log,
      });
      // It may have gone, or been given up, in the meantime.
      if (verification.t === 'gone' || !this.#speaking.has(pending)) return;
      if (verification.t === 'refused') return this.#refuseCertificate(pending, verification.refusal);
      const { leaf } = verification;
      const unwelcome = leaf === null || !requestCert ? null : this.#o.admit(leaf);
      if (unwelcome !== null) {
        this.#part(pending);
        return this.#o.onRefused({ remote, rule: 'not-named', text: unwelcome, refusal: null });
      }
      this.#settle(pending);
      socket.off('error', onError).off('_tlsError', onError);
      this.#o.onVerified(verification.peer, pending.address);
    };
    socket.once('secure', () => void onSecure().catch((error: unknown) => this.#failed(pending, error)));
  }

  #refuseCertificate(pending: Pending, refusal: Refusal): void {
    const { remote } = pending;
    this.#part(pending);
    this.#o.onRefused({
      remote,
      rule: refusal.rule,
      text: refusal.text,
      refusal,
    });
  }

  #refuse(pending: Pending, rule: PeerRefusalRule, text: string): void {
    this.#drop(pending);
    this.#o.onRefused({ remote: pending.remote, rule, text, refusal: null });
  }

  #onTimeout(pending: Pending): void {
    const silent = this.#silent.has(pending);
    const what = silent ? 'it said nothing' : 'its handshake was not done';
    this.#refuse(pending, silent ? 'silent' : 'slow-handshake', `${what} within ${this.#o.timeoutMs} ms`);
  }

  #onGone(pending: Pending): void {
    if (!this.#silent.has(pending) && !this.#speaking.has(pending)) return;
    this.#refuse(pending, 'hung-up', 'it hung up before the handshake was done');
  }

  #evictOldest(): void {
    const [oldest] = this.#silent.size > 0 ? this.#silent : this.#speaking;
    if (oldest === undefined) return;
    this.#refuse(
      oldest,
      'too-many-handshakes',
      `more than ${this.#o.max} handshakes at once, and it was the oldest`,
    );
  }

  /** Ends a refused connection so that its peer reads a clean end instead of a reset, where it still listens. */
  #part(pending: Pending): void {
    this.#settle(pending);
    const { tls, raw } = pending;
    if (tls === null) raw.destroy();
    else {
      tls.destroySoon();
      const timer = setTimeout(() => raw.destroy(), LINGER_MS);
      raw.once('close', () => clearTimeout(timer));
    }
  }

  #drop(pending: Pending): void {
    this.#settle(pending);
    pending.tls?.destroy();
    pending.raw.destroy();
  }

  /** Lets go of it: of a link that stands nothing is left here. */
  #settle(pending: Pending): void {
    if (pending.timer !== null) clearTimeout(pending.timer);
    pending.timer = null;
    pending.raw.off('close', pending.onClose);
    this.#silent.delete(pending);
    this.#speaking.delete(pending);
  }
}

const ignore = (): void => {};

function noCertificate({ anchors }: TlsMaterial): Refusal {
  const fault = { rule: 'no-certificate', text: 'the client presented no certificate' } as const;
  return makeRefusal(fault, null, anchors, new Date());
}
