// SPDX-License-Identifier: Apache-2.0
// OpenSSL's verdict on the other end's certificates: as a handshake that is done gave it, or asked for without any
// network and without any key. What follows from it is decided in verify-certificates.ts.
import type { X509Certificate } from 'node:crypto';
import { duplexPair, type Duplex } from 'node:stream';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { codeOf, messageOf } from '@peerpod-tls/base';
import {
  selfSignedClient,
  type IssuedCertificate,
  type OpensslRefusal,
  type TlsRole,
} from '@peerpod-tls/certs';
import { clientFlight, clientHello, serverFlight } from './first-flight.js';
import { handshakeVerdict, NO_VERDICT } from './node-internals.js';

/** How long OpenSSL may take over a handful of certificates: it takes a millisecond. */
const PATIENCE_MS = 5_000;

/** Forward secrecy with either kind of certificate: the suite is of no consequence, since no byte is ever encrypted. */
const SUITES = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256';

/**
 * The verdict of a handshake: null when good. Should a later Node move it, every peer is refused, by name, rather than
 * one let in.
 */
export function verdictOf(socket: TLSSocket): OpensslRefusal | null {
  const verdict = handshakeVerdict(socket);
  if (verdict === NO_VERDICT) return { code: '', text: 'this Node.js does not tell its verdict' };
  return verdict === null ? null : refusalFrom(verdict);
}

const refusalFrom = (error: unknown): OpensslRefusal => ({ code: codeOf(error), text: messageOf(error) });

/**
 * The verdict on certificates that a peer in that role would present, leaf first, for somebody who trusts the anchors:
 * what `verdictOf` says once such a peer is there. Needs no key, opens no socket, never rejects.
 */
export async function verdictOnCertificates(
  presented: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  role: TlsRole,
): Promise<OpensslRefusal | null> {
  const [ours, theirs] = duplexPair();
  let socket: TLSSocket | null = null;
  const failures: OpensslRefusal[] = [];
  const onError = (error: unknown): void => void failures.push(refusalFrom(error));
  theirs.on('error', onError);
  ours.on('error', onError);
  try {
    const der = presented.map(certificate => certificate.raw);
    const ca = anchors.map(anchor => anchor.toString());
    socket = role === 'server' ? listenTo(ours, ca) : await ask(ours, ca);
    socket.on('error', onError).on('_tlsError', onError);
    if (role === 'server') theirs.once('data', () => theirs.write(serverFlight(der, signer(presented[0]))));
    else {
      theirs.write(clientHello());
      // The server answers in one piece, ending with ServerHelloDone.
      theirs.once('data', () => theirs.write(clientFlight(der)));
    }
    theirs.on('data', () => {});
    const until = performance.now() + PATIENCE_MS;
    // The certificate is there only once it has been verified. A client socket shows it once and no more.
    for (;;) {
      if ((socket.getPeerX509Certificate() ?? null) !== null) return verdictOf(socket);
      const [failure] = failures;
      if (failure !== undefined) return failure;
      if (performance.now() > until) return { code: '', text: 'OpenSSL took too long over it' };
      await new Promise(resolve => setImmediate(resolve));
    }
  } catch (error) {
    return refusalFrom(error);
  } finally {
    socket?.destroy();
    ours.destroy();
    theirs.destroy();
  }
}

const signer = (leaf: X509Certificate | undefined): 'rsa' | 'ecdsa' =>
  leaf?.publicKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ecdsa';

const versions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: SUITES } as const;

function listenTo(socket: Duplex, ca: string[]): TLSSocket {
  const secureContext = createSecureContext({ ca, allowPartialTrustChain: true, ...versions });
  return connect({ socket, secureContext, rejectUnauthorized: false, checkServerIdentity: () => undefined });
}

let standIn: Promise<IssuedCertificate> | undefined;

/** A certificate for the end that only listens in a proof. Made once: nobody verifies it. */
export const standInCertificate = (): Promise<IssuedCertificate> => (standIn ??= selfSignedClient());

async function ask(socket: Duplex, ca: string[]): Promise<TLSSocket> {
  const { certPem, keyPem } = await standInCertificate();
  const secureContext = createSecureContext({
    ca,
    cert: certPem,
    key: keyPem,
    allowPartialTrustChain: true,
    ...versions,
  });
  return new TLSSocket(socket, {
    isServer: true,
    secureContext,
    requestCert: true,
    rejectUnauthorized: false,
  });
}
