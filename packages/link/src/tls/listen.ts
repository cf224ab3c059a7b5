// SPDX-License-Identifier: Apache-2.0
// The listening side of a link: takes connections, has each handshake done and verified, counts what stands, and hands
// it on. What a peer then says is not read here.
import type { X509Certificate } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { codeOf, messageOf } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { LinkError } from '../errors.js';
import { KEEP_ALIVE_MS } from './dial.js';
import { PeerCaps, type CountedPeer } from './peer-caps.js';
import { PendingHandshakes } from './pending-handshakes.js';
import { RefusalLog, type PeerRefusal } from './refusal-log.js';
import type { ListenSecurity } from './security.js';
import { acceptPlain, hostPort, type VerifiedPeer } from './verify-peer.js';

export interface ListenOptions {
  readonly host: string;
  /** 0 for any free port; see {@link LinkListener.address}. */
  readonly port: number;
  readonly security: ListenSecurity;
  /** Agree to resumable links with clients that offer them and have a certificate. Default false. */
  readonly session?: boolean;
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
  /** Verified links open at once. Default 4 096; each costs about 70 KiB, nearly all of it Node's and OpenSSL's. */
  readonly maxPeers?: number;
  /** Of these, from one address. Default all: one adaptor is one address. */
  readonly maxPeersPerAddress?: number;
  /**
   * A link that nobody has read from for so long gives way to a new one of the same client when there are too many, in
   * milliseconds. Default 5 000: its client has most likely gone, which is not seen on a connection that is not read.
   */
  readonly heldMs?: number;
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

class Listener implements LinkListener {
  readonly #o: ListenOptions;
  readonly #server: Server;
  readonly #caps: PeerCaps;
  readonly #refusals: RefusalLog;
  /** Null on a plain listener. */
  readonly #handshakes: PendingHandshakes | null;
  #address = { host: '', port: 0 };

  constructor(o: ListenOptions) {
    this.#o = o;
    const { security, log } = o;
    const max = o.maxPeers ?? 4_096;
    this.#caps = new PeerCaps({
      max,
      maxPerAddress: o.maxPeersPerAddress ?? max,
      heldMs: o.heldMs ?? 5_000,
    });
    this.#refusals = new RefusalLog(log, refusal => {
      try {
        o.onRefused?.(refusal);
      } catch (error) {
        log.error({ remote: refusal.remote, error: messageOf(error) }, 'refusal not taken');
      }
    });
    this.#handshakes =
      security.t === 'plain'
        ? null
        : new PendingHandshakes({
            security,
            timeoutMs: o.handshakeTimeoutMs ?? 10_000,
            max: o.maxHandshakes ?? 256,
            session: o.session ?? false,
            log,
            admit: leaf => o.admit?.(leaf) ?? null,
            onVerified: (peer, address) => this.#welcome(peer, address),
            onRefused: refusal => this.#refusals.add(refusal),
          });
    this.#server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, allowHalfOpen: true },
      socket => this.#safely(socket, () => this.#onConnection(socket)),
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
        const why = code === 'EADDRINUSE' ? 'another program listens there' : messageOf(error);
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
        this.#server.on('error', error => log.warn({ error: messageOf(error) }, 'connection not accepted'));
        resolve();
      });
    });
    const bound = this.#server.address();
    if (bound !== null && typeof bound === 'object')
      this.#address = { host: bound.address, port: bound.port };
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#handshakes?.clear();
  }

  /** A connection is never worth the process. */
  #safely(raw: Socket, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#o.log.error({ error: messageOf(error) }, 'connection not taken');
      raw.on('error', () => {}).destroy();
    }
  }

  #onConnection(raw: Socket): void {
    const address = (raw.remoteAddress ?? 'unknown').replace(/^::ffff:/u, '');
    const remote = hostPort(address, raw.remotePort ?? 0);
    const full = this.#caps.refusal(address);
    // Whether one of its own links may make room for it is known once it has said who it is.
    if (full !== null && !this.#caps.couldMakeRoom(address)) {
      raw.on('error', () => {}).destroy();
      return this.#refusals.add({ remote, ...full, refusal: null });
    }
    if (this.#handshakes === null) this.#welcome(acceptPlain(raw, this.#o.log), address);
    else this.#handshakes.add(raw, remote, address);
  }

  #welcome(peer: VerifiedPeer, address: string): void {
    const { socket, peer: info } = peer;
    const { log } = this.#o;
    const fingerprint = info.tls?.fingerprint ?? '';
    const client = fingerprint === '' ? address : fingerprint;
    // Asked again: others may have been welcomed while this one was in its handshake.
    for (let full = this.#caps.refusal(address); full !== null; full = this.#caps.refusal(address)) {
      if (this.#caps.makeRoom(client, address)) continue;
      socket.destroy();
      return this.#refusals.add({ remote: info.remote, ...full, refusal: null });
    }
    const counted: CountedPeer = {
      address,
      client,
      end: () => {
        log.warn({ remote: info.remote }, 'link closed that nobody read, for a new one of the same client');
        socket.destroy(
          new LinkError('ERR_LINK_CLOSED', `the link to ${info.remote} made room for a newer one`),
        );
      },
    };
    this.#caps.add(counted);
    socket.on('close', () => this.#caps.remove(counted));
    socket.on('pause', () => this.#caps.hold(counted)).on('resume', () => this.#caps.release(counted));
    try {
      this.#o.onPeer(peer);
    } catch (error) {
      log.error({ remote: info.remote, error: messageOf(error) }, 'peer not taken');
      socket.destroy();
    }
  }
}
