// SPDX-License-Identifier: Apache-2.0
// Which clients may come in, of those whose certificate passed: all, or only those that the operator names. A name is
// one in the certificate, or one attribute of its subject, since upstream's client certificate has nothing else.
import type { X509Certificate } from 'node:crypto';
import { describeCertificate } from '@peerpod-tls/certs';
import { TrustError } from './errors.js';

export interface NamedClients {
  readonly names: readonly string[];
  /** SHA-256 of the certificate, 64 lower-case hexadecimal digits each. */
  readonly fingerprints: readonly string[];
}

/**
 * What `-client-names` and `-client-fingerprints` say; null when neither does, and every client may come in.
 * @throws TrustError ERR_TRUST_OPTIONS
 */
export function namedClients(names: readonly string[], fingerprints: readonly string[]): NamedClients | null {
  const given = names.map(name => name.trim()).filter(name => name !== '');
  const digests = fingerprints.map(readFingerprint).filter(digest => digest !== '');
  return given.length + digests.length === 0 ? null : { names: given, fingerprints: digests };
}

function readFingerprint(text: string): string {
  const digest = text
    .trim()
    .toLowerCase()
    .replace(/^sha-?256[:=]/, '')
    .replaceAll(':', '');
  if (digest === '' || /^[0-9a-f]{64}$/.test(digest)) return digest;
  throw new TrustError(
    'ERR_TRUST_OPTIONS',
    `-client-fingerprints has ${JSON.stringify(text.slice(0, 100))}, not the SHA-256 of a certificate`,
    {
      hint: 'give 64 hexadecimal digits, with or without colons: openssl x509 -noout -fingerprint -sha256 -in client.crt',
    },
  );
}

/** Null when this client is one of them, else what it is, in one sentence. */
export function unnamedClient(leaf: X509Certificate, named: NamedClients): string | null {
  const { subject, names, fingerprint } = describeCertificate(leaf);
  if (named.fingerprints.includes(fingerprint)) return null;
  // One attribute a line, and a line end within a value is escaped: nobody can write a second attribute into a first.
  const attributes = (leaf.subject ?? '').split('\n');
  const has = new Set([...names.map(name => name.toLowerCase()), ...attributes]);
  const passes = (name: string): boolean =>
    has.has(name) || has.has(name.toLowerCase()) || has.has(`CN=${name}`);
  if (named.names.some(passes)) return null;
  return `the client certificate ${subject} (sha256 ${fingerprint}) is none of those named by -client-names and -client-fingerprints`;
}
