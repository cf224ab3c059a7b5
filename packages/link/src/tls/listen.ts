// SPDX-License-Identifier: Apache-2.0
// The listening side of a link: takes connections, handshakes them under a deadline and caps, has each verified, and
// hands on the verified ones. What a peer then says is not read here.
import type { X509Certificate } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { explainRefusal, type Refusal } from '@peerpod-tls/certs';
import type { Logger } from 'pino';
import { KEEP_ALIVE_MS } from './dial.js';
import { codeOf, LinkError, textOf } from '../errors.js';
import { classifyHello } from './hello.js';
import { acceptPlain, certificateWords, hostPort, verifyTls, type VerifiedPeer } from './verify-peer.js';
import { linkErrorFrom } from './node-error.js';
import { PeerCaps } from './peer-caps.js';
import { RefusalLog, type PeerRefusal, type PeerRefusalRule } from './refusal-log.js';
import { contextOf, type ListenSecurity } from './security.js';

export interface ListenOptions {
  readonly host: string;
  /** 0 for any free port; see {@link LinkListener.address}. */
  readonly port: number;
  readonly security: ListenSecurity;
  /** Asked for each verified client: why it may not come in all the same, in one sentence, or null. */
  readonly admit?: (leaf: X509Certificate) => string | null;
  /** Gets each verified peer, which is then its own. */
  onPeer(peer: VerifiedPeer): void;
  /** Told of every connection that was turned away; the log is told too, at a bounded rate. */
  onRefused?(refusal: PeerRefusal): void;
  readonly log: Logger;
  /** From accept to the end of the handshake, in milliseconds. Default 10 000: a slow network needs two round trips. */
  readonly handshakeTimeoutMs?: number;
  /**
   * Connections whose handshake is not done. Default 256. Beyond it the oldest gives way, those that said nothing
   * first, so that a crowd of silent ones cannot lock out a peer that speaks.
   */
  readonly maxHandshakes?: number;
  /** Verified links open at once. Default 4 096; each costs about 40 KB. */
  readonly maxPeers?: number;
  /** Of these, from one address. Default all: one adaptor is one address. */
  readonly maxPeersPerAddress?: number;
}

export interface LinkListener {
  /** What was really bound. */
  address(): { readonly host: string; readonly port: number };
  /** Verified links that are open. */
  readonly peerCount: number;
  /** Listens no more and drops the connections whose handshake is not done. Verified links are their owners'. */
  close(): Promise<void>;
}

/** @throws LinkError ERR_LINK_LISTEN when the address cannot be had */
export async function listenLink(options: ListenOptions): Promise<LinkListener> {
  const listener = new Listener(options);
  await listener.start();
  return listener;
}

/** A connection before its verification. */
interface Newcomer {
  readonly raw: Socket;
  readonly remote: string;
  readonly address: string;
  readonly timer: NodeJS.Timeout;
  tls: TLSSocket | null;
}

class Listener implements LinkListener {
  readonly #o: ListenOptions;
  readonly #server: Server;
  readonly #caps: PeerCaps;
  readonly #refusals: RefusalLog;
  readonly #handshakeTimeoutMs: number;
  readonly #maxHandshakes: number;
  /** Oldest first. Silent ones have not sent a byte; the others are in their handshake. */
  readonly #silent = new Set<Newcomer>();
  readonly #speaking = new Set<Newcomer>();
  #address = { host: '', port: 0 };

  constructor(o: ListenOptions) {
    this.#o = o;
    this.#handshakeTimeoutMs = o.handshakeTimeoutMs ?? 10_000;
    this.#maxHandshakes = o.maxHandshakes ?? 256;
    const maxPeers = o.maxPeers ?? 4_096;
    this.#caps = new PeerCaps(maxPeers, o.maxPeersPerAddress ?? maxPeers);
    this.#refusals = new RefusalLog(o.log, refusal => o.onRefused?.(refusal));
    this.#server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, allowHalfOpen: true },
      socket => this.#onConnection(socket),
    );
  }

  get peerCount(): number {
    return this.#caps.count;
  }

  address(): { readonly host: string; readonly port: number } {
    return this.#address;
  }

  async start(): Promise<void> {
    const { host, port, log } = this.#o;
    await new Promise<void>((resolve, reject) => {
      const onError = (error: unknown): void => {
        const code = codeOf(error);
        const why = code === 'EADDRINUSE' ? 'another program listens there' : textOf(error);
        reject(
          new LinkError('ERR_LINK_LISTEN', `cannot listen on ${hostPort(host, port)}: ${why}`, {
            cause: error,
          }),
        );
      };
      this.#server.once('error', onError);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', onError);
        // Out of file descriptors and the like: that connection is lost, the listener is not.
        this.#server.on('error', error => log.warn({ error: textOf(error) }, 'connection not accepted'));
        resolve();
      });
    });
    const bound = this.#server.address();
    if (bound !== null && typeof bound === 'object')
      this.#address = { host: bound.address, port: bound.port };
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const newcomer of [...this.#silent, ...this.#speaking]) this.#drop(newcomer);
  }

  #onConnection(raw: Socket): void {
    const address = (raw.remoteAddress ?? 'unknown').replace(/^::ffff:/u, '');
    const remote = hostPort(address, raw.remotePort ?? 0);
    const full = this.#caps.refusal(address);
    if (full !== null) {
      raw.on('error', () => {}).destroy();
      return this.#refusals.add({ remote, ...full, refusal: null });
    }
    if (this.#o.security.t === 'plain') return this.#welcome(acceptPlain(raw, this.#o.log), address);
    if (this.#silent.size + this.#speaking.size >= this.#maxHandshakes) this.#evictOldest();
    const timer = setTimeout(() => this.#onTimeout(newcomer), this.#handshakeTimeoutMs);
    const newcomer: Newcomer = { raw, remote, address, timer, tls: null };
    this.#silent.add(newcomer);
    raw.on('error', () => {});
    raw.once('close', () => this.#onGone(newcomer));
    // Until the first byte a connection costs a socket and a timer, no TLS state.
    raw.once('readable', () => this.#onFirstBytes(newcomer));
  }

  #onFirstBytes(newcomer: Newcomer): void {
    const { raw, remote } = newcomer;
    if (!this.#silent.delete(newcomer)) return;
    this.#speaking.add(newcomer);
    const head: unknown = raw.read();
    if (!Buffer.isBuffer(head)) return this.#onGone(newcomer);
    const hello = classifyHello(head);
    if (hello !== null) return this.#refuse(newcomer, hello.rule, hello.text);
    raw.unshift(head);
    const { security } = this.#o;
    if (security.t === 'plain') return;
    const started = performance.now();
    const material = security.material();
    const requestCert = security.t === 'tls';
    // Not through tls.Server: it forgets why it rejected a certificate, and ignores allowPartialTrustChain. With
    // rejectUnauthorized a peer without any certificate is told so by a TLS alert; others are verified after the handshake.
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext: contextOf(material, security.profile),
      requestCert,
      rejectUnauthorized: requestCert,
    });
    newcomer.tls = socket;
    const onError = (error: unknown): void => {
      if (!this.#speaking.has(newcomer)) return;
      const code = codeOf(error);
      if (code.includes('PEER_DID_NOT_RETURN_A_CERTIFICATE')) {
        return this.#refuseCertificate(newcomer, explainRefusal(null, [], material.anchors, 'client', {}));
      }
      if (code === 'ECONNRESET' || code === 'EPIPE')
        return this.#refuse(newcomer, 'hung-up', 'it hung up during the handshake');
      const ownCertificate = certificateWords(material.leaf);
      const ours = linkErrorFrom(error, { remote, phase: 'handshake', ownCertificate });
      const rule = ours.code === 'ERR_LINK_TLS_REFUSED' ? 'refused-by-peer' : 'handshake-failed';
      this.#refuse(newcomer, rule, ours.message);
    };
    socket.on('error', onError);
    socket.on('_tlsError', onError);
    socket.once('secure', () => {
      if (!this.#speaking.has(newcomer)) return;
      const verification = verifyTls({
        socket,
        role: 'client',
        material,
        anyClient: !requestCert,
        handshakeMs: Math.round((performance.now() - started) * 1000) / 1000,
        log: this.#o.log,
      });
      if (verification.t === 'refused') return this.#refuseCertificate(newcomer, verification.refusal);
      const leaf = requestCert ? socket.getPeerX509Certificate() : undefined;
      const unwelcome = leaf === undefined ? null : (this.#o.admit?.(leaf) ?? null);
      if (unwelcome !== null) {
        this.#refusals.add({ remote, rule: 'not-named', text: unwelcome, refusal: null });
        return this.#part(newcomer);
      }
      this.#settle(newcomer);
      socket.off('error', onError).off('_tlsError', onError);
      this.#welcome(verification.peer, newcomer.address);
    });
  }

  #welcome(peer: VerifiedPeer, address: string): void {
    const full = this.#caps.refusal(address);
    if (full !== null) {
      peer.socket.destroy();
      return this.#refusals.add({ remote: peer.peer.remote, ...full, refusal: null });
    }
    this.#caps.add(address);
    peer.socket.once('close', () => this.#caps.remove(address));
    try {
      this.#o.onPeer(peer);
    } catch (error) {
      this.#o.log.error({ remote: peer.peer.remote, error: textOf(error) }, 'peer not taken');
      peer.socket.destroy();
    }
  }

  #refuseCertificate(newcomer: Newcomer, refusal: Refusal | null): void {
    const { remote } = newcomer;
    this.#refusals.add({
      remote,
      rule: refusal?.rule ?? 'no-certificate',
      text: refusal?.text ?? 'the peer presented no certificate',
      refusal,
    });
    this.#part(newcomer);
  }

  #refuse(newcomer: Newcomer, rule: PeerRefusalRule, text: string): void {
    this.#refusals.add({ remote: newcomer.remote, rule, text, refusal: null });
    this.#drop(newcomer);
  }

  #onTimeout(newcomer: Newcomer): void {
    const silent = this.#silent.has(newcomer);
    const what = silent ? 'it said nothing' : 'its handshake was not done';
    this.#refuse(
      newcomer,
      silent ? 'silent' : 'slow-handshake',
      `${what} within ${this.#handshakeTimeoutMs} ms`,
    );
  }

  #onGone(newcomer: Newcomer): void {
    if (!this.#silent.has(newcomer) && !this.#speaking.has(newcomer)) return;
    this.#refuse(newcomer, 'hung-up', 'it hung up before the handshake was done');
  }

  #evictOldest(): void {
    const [oldest] = this.#silent.size > 0 ? this.#silent : this.#speaking;
    if (oldest === undefined) return;
    this.#refuse(
      oldest,
      'too-many-handshakes',
      `more than ${this.#maxHandshakes} handshakes at once, and it was the oldest`,
    );
  }

  /** Ends a refused connection so that its peer reads a clean end instead of a reset, where it still listens. */
  #part(newcomer: Newcomer): void {
    this.#settle(newcomer);
    const { tls, raw } = newcomer;
    if (tls === null) raw.destroy();
    else {
      tls.destroySoon();
      const timer = setTimeout(() => raw.destroy(), 1_000);
      raw.once('close', () => clearTimeout(timer));
    }
  }

  #drop(newcomer: Newcomer): void {
    this.#settle(newcomer);
    newcomer.tls?.destroy();
    newcomer.raw.destroy();
  }

  #settle(newcomer: Newcomer): void {
    clearTimeout(newcomer.timer);
    this.#silent.delete(newcomer);
    this.#speaking.delete(newcomer);
  }
}
