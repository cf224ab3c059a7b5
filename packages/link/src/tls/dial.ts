// SPDX-License-Identifier: Apache-2.0
// One try to open a link: connect, handshake, verify. Retrying is dial-until-healthy.ts's and redial's business.
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { codeOf, messageOf } from '@peerpod-tls/base';
import type { Refusal } from '@peerpod-tls/certs';
import type { Logger } from 'pino';
import { LinkError } from '../errors.js';
import { SESSION_PROTOCOL } from '../session/wire.js';
import { acceptPlain, certificateText, hostPort, verifyTls, type VerifiedPeer } from './verify-peer.js';
import { linkErrorFrom } from './node-error.js';
import { contextOf, type LinkSecurity } from './security.js';

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly security: LinkSecurity;
  /** The name the peer's certificate must carry; also sent as SNI unless it is an address. Unused on a plain link. */
  readonly serverName: string;
  /** Ends the try. */
  readonly signal: AbortSignal;
  /** How long the TCP connection may take, in milliseconds. Default 5 000: a machine that is up answers in one. */
  readonly connectTimeoutMs?: number;
  /** How long the TLS handshake may take, in milliseconds. Default 10 000, as on the listening side. */
  readonly handshakeTimeoutMs?: number;
  /** Offer to make the link resumable; whether the other side agrees is in the peer. Default false. Not on a plain link. */
  readonly session?: boolean;
  readonly log: Logger;
}

/** Idle seconds before the kernel asks whether the other end still lives; upstream's (Go's) default. */
export const KEEP_ALIVE_MS = 15_000;

/**
 * Opens one link and verifies the server behind it.
 *
 * With TLS 1.3 the other side may still refuse *us* after this has resolved; only an answered call is proof. See
 * `checkHealth`.
 *
 * @throws LinkError with the situation met as its code.
 */
export async function dialLink(o: DialOptions): Promise<VerifiedPeer> {
  if (o.signal.aborted) throw cancelled(o, 'was not reached');
  const socket = await connected(o);
  if (o.security.t === 'plain') return acceptPlain(socket, o.log);
  return handshaken(o, socket, o.security);
}

function connected(o: DialOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({
      host: o.host,
      port: o.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      allowHalfOpen: true,
    });
    const remote = hostPort(o.host, o.port);
    const waitMs = o.connectTimeoutMs ?? 5_000;
    const done = (error: LinkError | null): void => {
      clearTimeout(timer);
      o.signal.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect).off('error', onError);
      if (error === null) return resolve(socket);
      socket.on('error', () => {}).destroy();
      reject(error);
    };
    const onConnect = (): void => done(null);
    const onError = (error: unknown): void => done(linkErrorFrom(error, { remote, phase: 'dial' }));
    const onAbort = (): void => done(cancelled(o, 'did not take the connection'));
    const timer = setTimeout(
      () =>
        done(new LinkError('ERR_LINK_TIMEOUT', `${remote} did not take the connection within ${waitMs} ms`)),
      waitMs,
    );
    o.signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', onConnect).once('error', onError);
  });
}

async function handshaken(
  o: DialOptions,
  raw: Socket,
  security: LinkSecurity & { t: 'tls' },
): Promise<VerifiedPeer> {
  try {
    return await handshake(o, raw, security);
  } catch (error) {
    raw.on('error', () => {}).destroy();
    if (error instanceof LinkError) throw error;
    // Our own side cannot begin: a certificate that OpenSSL takes into no context, for one.
    const own = certificateText(security.material().leaf);
    throw new LinkError('ERR_LINK_OWN_MATERIAL', `no TLS with ${own}: ${messageOf(error)}`, { cause: error });
  }
}

function handshake(
  o: DialOptions,
  raw: Socket,
  security: LinkSecurity & { t: 'tls' },
): Promise<VerifiedPeer> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const material = security.material();
    const remote = hostPort(o.host, o.port);
    const waitMs = o.handshakeTimeoutMs ?? 10_000;
    const socket = connectTls({
      socket: raw,
      secureContext: contextOf(material, security.profile),
      servername: isIP(o.serverName) === 0 ? o.serverName : '',
      // The handshake completes whatever the server presents, because Node forgets the certificate it rejects. The
      // verification decides, below, before anybody else sees the socket.
      rejectUnauthorized: false,
      checkServerIdentity: ofNoConcern,
      ...(o.session === true ? { ALPNProtocols: [SESSION_PROTOCOL] } : {}),
    });
    const end = (): void => {
      clearTimeout(timer);
      o.signal.removeEventListener('abort', onAbort);
      socket.off('secureConnect', onSecure).off('error', onError).off('end', onEnd).off('close', onEnd);
    };
    const fail = (error: unknown): void => {
      end();
      socket.on('error', () => {}).destroy();
      reject(error);
    };
    const onError = (error: unknown): void => {
      const ownCertificate = certificateText(material.leaf);
      fail(linkErrorFrom(error, { remote, phase: 'handshake', ownCertificate }));
    };
    const onEnd = (): void => onError(Object.assign(new Error('end of stream'), { code: 'ERR_LINK_EOF' }));
    const onAbort = (): void =>
      fail(
        cancelled(o, 'took the connection, and did not finish the TLS handshake', silenceHint(raw.bytesRead)),
      );
    const verify = async (): Promise<void> => {
      const handshakeMs = Math.round((performance.now() - started) * 1000) / 1000;
      const { serverName, log } = o;
      const verification = await verifyTls({
        socket,
        role: 'server',
        material,
        serverName,
        handshakeMs,
        log,
      });
      // It ended meanwhile, which has been told.
      if (verification.t === 'gone') return;
      if (verification.t === 'refused') return fail(refused(remote, verification.refusal));
      end();
      resolve(verification.peer);
    };
    const onSecure = (): void => void verify().catch(fail);
    const timer = setTimeout(() => {
      const what = `${remote} did not finish the TLS handshake within ${waitMs} ms`;
      fail(new LinkError('ERR_LINK_TIMEOUT', what, { hint: silenceHint(raw.bytesRead) }));
    }, waitMs);
    o.signal.addEventListener('abort', onAbort, { once: true });
    socket.once('secureConnect', onSecure).once('error', onError).once('end', onEnd).once('close', onEnd);
  });
}

/** Node keeps it as long as the socket, and with a closure all that is around it here. */
const ofNoConcern = (): undefined => undefined;

function refused(remote: string, refusal: Refusal): LinkError {
  return new LinkError(
    refusal.rule === 'wrong-name' ? 'ERR_LINK_WRONG_NAME' : 'ERR_LINK_PEER_REFUSED',
    `refused the server at ${remote}: ${refusal.text}`,
    { refusal },
  );
}

/** A plain forwarder takes the beginning of a handshake for that of a frame, and waits for the rest of it. */
function silenceHint(bytesRead: number): string | undefined {
  return bytesRead === 0
    ? 'it said nothing at all: a forwarder without TLS does that. Is -disable-tls set on the other side?'
    : undefined;
}

/** `missed` is what the other side failed to do until now. */
function cancelled(o: DialOptions, missed: string, hint?: string): LinkError {
  const why = o.signal.reason;
  return codeOf(why) === '' && why instanceof Error && why.name === 'TimeoutError'
    ? new LinkError('ERR_LINK_TIMEOUT', `${hostPort(o.host, o.port)} ${missed} in time`, { hint })
    : new LinkError('ERR_LINK_CLOSED', `the dial to ${hostPort(o.host, o.port)} was given up`, {
        cause: why,
      });
}
