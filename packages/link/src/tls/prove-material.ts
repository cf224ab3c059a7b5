// SPDX-License-Identifier: Apache-2.0
// Own material, proved before it is put in force: what OpenSSL would refuse at the first connection it refuses here,
// where a program can still say so and keep what it had. No network: both ends of the handshake are in this process.
import { duplexPair } from 'node:stream';
import { once } from 'node:events';
import { connect, createSecureContext, TLSSocket, type SecureContext } from 'node:tls';
import { deadline, messageOf } from '@peerpod-tls/base';
import { describeCertificate, type Refusal, type TlsMaterial, type TlsProfile } from '@peerpod-tls/certs';
import { LinkError } from '../errors.js';
import { standInCertificate, verdictOf } from './openssl-verdict.js';
import { contextOf } from './security.js';
import { verifyCertificates } from './verify-certificates.js';

/** A handshake with oneself takes 3 ms; a busy machine may need a thousand times that. */
const PATIENCE_MS = 10_000;

/**
 * Proves that links can be made with this material under this profile: OpenSSL takes it into a context, a handshake
 * with ourselves (each version the profile allows) succeeds with our key, and the other end's OpenSSL accepts our
 * chain, up to our own anchors where it leads there and up to its own top otherwise.
 *
 * Call it before material is put in force: at start, and in a reload before the swap. Whatever goes wrong is the
 * rejection; nothing is thrown anywhere else.
 *
 * @throws LinkError ERR_LINK_OWN_MATERIAL
 */
export async function proveMaterial(material: TlsMaterial, profile: TlsProfile): Promise<void> {
  try {
    const context = contextOf(material, profile);
    await shakeHandsWithOurselves(material, context, 'TLSv1.3');
    // With TLS 1.2 the suites must fit the server's key. A client's key is of no consequence there.
    if (profile.minVersion === 'TLSv1.2' && material.role === 'server')
      await shakeHandsWithOurselves(material, context, 'TLSv1.2');
  } catch (error) {
    if (error instanceof LinkError) throw error;
    const { subject } = describeCertificate(material.leaf);
    throw refused(material, `OpenSSL does not take ${subject}: ${messageOf(error)}`, error);
  }
}

function refused(material: TlsMaterial, text: string, cause?: unknown, refusal?: Refusal): LinkError {
  const { file, flag } = material.origin;
  return new LinkError('ERR_LINK_OWN_MATERIAL', `no link could be made with ${file} (${flag}): ${text}`, {
    hint:
      refusal?.rule === 'name-constraint'
        ? 'have it issued with names that each CA above it may certify, or by another CA'
        : 'have it issued with ECDSA P-256 and SHA-256; peerpod certs inspect says more',
    cause,
    refusal,
  });
}

async function shakeHandsWithOurselves(
  material: TlsMaterial,
  own: SecureContext,
  version: 'TLSv1.2' | 'TLSv1.3',
): Promise<void> {
  const { certPem, keyPem } = await standInCertificate();
  const { leaf, chain, path, role } = material;
  const anchors = material.reachesAnchors ? material.anchors : path.slice(-1);
  const other = createSecureContext({
    cert: certPem,
    key: keyPem,
    // The way in use and nothing else: OpenSSL tries the first CA of a name alone, and a server that tried the wrong one
    // is left with an error that Node takes for one of the connection.
    ca: path.slice(-1).map(anchor => anchor.toString()),
    allowPartialTrustChain: true,
    minVersion: version,
    maxVersion: version,
  });
  const [a, b] = duplexPair();
  const isServer = material.role === 'server';
  const server = new TLSSocket(a, {
    isServer: true,
    secureContext: isServer ? own : other,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const client = connect({
    socket: b,
    secureContext: isServer ? other : own,
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  try {
    await bothSecure(server, client);
    const inHandshake = verdictOf(isServer ? client : server);
    const verdict = await verifyCertificates({ leaf, chain, anchors, role }, inHandshake);
    if (verdict.t === 'refused') throw refused(material, verdict.refusal.text, undefined, verdict.refusal);
  } finally {
    for (const end of [server, client, a, b]) end.on('error', () => {}).destroy();
  }
}

async function bothSecure(server: TLSSocket, client: TLSSocket): Promise<void> {
  using signal = deadline(PATIENCE_MS);
  const options = { signal };
  const failed = new Promise<never>((_, reject) => {
    for (const end of [server, client]) end.on('error', reject).on('_tlsError', reject);
  });
  await Promise.race([
    Promise.all([once(server, 'secure', options), once(client, 'secureConnect', options)]),
    failed,
  ]);
}
