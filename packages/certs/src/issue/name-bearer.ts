// SPDX-License-Identifier: Apache-2.0
// A certificate that stands for a name and vouches for nobody. OpenSSL, given two CAs of one name, tries the first alone,
// and in a server the signature that does not hold leaves an error behind which ends the connection. Given this one in
// their place it finds no issuer and says just that; the way is then found by our own verification.
import { generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { certificatePem } from '../encoding/pem.js';
import { basicConstraints, keyUsage, spkiOf } from '../encoding/extensions.js';
import { factsOf } from '../verify/facts.js';
import { signCertificate } from './certificate.js';

/**
 * The anchors as a server's OpenSSL is given them, as PEM: as they are, but for CAs that share a name, in whose place
 * stands one bearer of it, so that the name is still told to clients.
 */
export function anchorsForServer(anchors: readonly X509Certificate[]): string[] {
  const issuers = new Map<string, number>();
  for (const anchor of anchors)
    if (maySign(anchor)) issuers.set(anchor.subject, (issuers.get(anchor.subject) ?? 0) + 1);
  const born = new Set<string>();
  return anchors.flatMap(anchor => {
    const { subject } = anchor;
    if (!maySign(anchor) || (issuers.get(subject) ?? 0) < 2) return [certificatePem(anchor.raw)];
    if (born.has(subject)) return [];
    born.add(subject);
    return [bearer(anchor)];
  });
}

const maySign = (anchor: X509Certificate): boolean => {
  const usage = factsOf(anchor).keyUsage;
  return usage === null || usage.includes('keyCertSign');
};

/**
 * Its key is one that cannot sign: OpenSSL takes whoever has the issuer's name and a key of the signature's kind for the
 * issuer, whatever the key usage and without a key identifier, and finds out by the signature alone.
 */
function bearer(anchor: X509Certificate): string {
  const { subject, notBefore, notAfter } = factsOf(anchor);
  const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  const { publicKey } = generateKeyPairSync('x25519');
  const der = signCertificate(
    {
      issuer: subject,
      subject,
      spki: spkiOf(publicKey),
      validity: { notBefore, notAfter },
      extensions: [basicConstraints('leaf'), keyUsage('cRLSign')],
    },
    key,
  );
  return certificatePem(der);
}
