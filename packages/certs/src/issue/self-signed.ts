// SPDX-License-Identifier: Apache-2.0
// A client certificate that nobody else signed: it goes to each pod VM as the anchor for itself.
import { createPublicKey } from 'node:crypto';
import { leafUsage } from './leaf-usage.js';
import { issued, signCertificate, validityFrom, type IssuedCertificate } from './certificate.js';
import { ownKeyIdentifiers, spkiOf } from '../encoding/extensions.js';
import { generatePrivateKey, type KeyAlgorithm } from './keys.js';
import { encodeSubject, type SubjectName } from '../encoding/names.js';
import { selfSignedClientProfile } from './profiles.js';

export interface SelfSignedOptions {
  /** Default `O=cloud-api-adaptor`. */
  readonly subject?: SubjectName;
  /** Default `ecdsa-p256`. */
  readonly algorithm?: KeyAlgorithm;
  /** Days from now. Default 1825. */
  readonly lifetimeDays?: number;
  /** Default the clock. */
  readonly now?: Date;
}

/**
 * A new client key with a certificate signed by itself. It is no CA: a verifier accepts it because the very
 * certificate is among its anchors.
 */
export async function selfSignedClient(options: SelfSignedOptions = {}): Promise<IssuedCertificate> {
  const { subject, lifetimeDays, now = new Date() } = { ...selfSignedClientProfile, ...options };
  const name = encodeSubject(subject);
  const validity = validityFrom(now, lifetimeDays);
  const key = await generatePrivateKey(options.algorithm);
  const spki = spkiOf(createPublicKey(key));
  const extensions = [...leafUsage.client, ...ownKeyIdentifiers(spki)];
  return issued(signCertificate({ issuer: name, subject: name, spki, validity, extensions }, key), key);
}
