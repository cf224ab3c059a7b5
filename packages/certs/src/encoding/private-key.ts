// SPDX-License-Identifier: Apache-2.0
// The private key of a PEM text. Whether it belongs to a certificate is asked in verify/.
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { CertError } from '../errors.js';
import { keyFitness, keyName, MIN_RSA_BITS } from '../keys.js';
import { pemBlocks, quoted } from './pem.js';
import { nameOrigin, type PemSource } from './source.js';
import { natureOfBlock, natureOfBlocks, natureOfFile } from './what-it-is.js';

const keyLabels: Readonly<Record<string, 'pkcs8' | 'pkcs1' | 'sec1'>> = {
  'PRIVATE KEY': 'pkcs8',
  'RSA PRIVATE KEY': 'pkcs1',
  'EC PRIVATE KEY': 'sec1',
};

/** Whether the text carries a private key of any kind. */
export const holdsPrivateKey = (source: PemSource): boolean =>
  pemBlocks(source).some(block => block.label.endsWith('PRIVATE KEY'));

/**
 * The one private key of a text: PKCS#8, PKCS#1 or SEC1, not encrypted, of a kind TLS may use here. Throws
 * ERR_CERT_NO_KEY, ERR_CERT_SEVERAL_KEYS, ERR_CERT_KEY_ENCRYPTED, ERR_CERT_KEY_UNREADABLE, ERR_CERT_KEY_UNSUPPORTED
 * or ERR_CERT_WEAK.
 */
export function privateKeyIn(source: PemSource): KeyObject {
  const blocks = pemBlocks(source).filter(block => block.label.endsWith('PRIVATE KEY'));
  const [block] = blocks;
  const name = nameOrigin(source);
  if (!block) throw noKey(source);
  if (blocks.length > 1) {
    throw new CertError('ERR_CERT_SEVERAL_KEYS', `${name} holds ${blocks.length} private keys`, {
      hint: 'keep the one that belongs to the certificate',
    });
  }
  if (block.label === 'ENCRYPTED PRIVATE KEY' || block.headers.some(h => /^Proc-Type:.*ENCRYPTED/.test(h))) {
    throw new CertError('ERR_CERT_KEY_ENCRYPTED', `the private key in ${name} is encrypted`, {
      hint: `a daemon has nobody to ask for the passphrase; decrypt it with: openssl pkey -in ${quoted(source.file)} -out new.key`,
    });
  }
  const type = keyLabels[block.label];
  let key: KeyObject;
  try {
    if (!type) throw new Error(`a block of the kind ${block.label}`);
    key = createPrivateKey({ key: block.der, format: 'der', type });
  } catch (cause) {
    const found = natureOfBlock(block, source);
    const nature = found?.hint === '' ? null : found;
    throw new CertError(
      'ERR_CERT_KEY_UNREADABLE',
      `the private key in ${name} cannot be read${nature ? `: it is ${nature.what}` : ''}`,
      { hint: nature?.hint ?? 'use PKCS#8, PKCS#1 or SEC1, as openssl writes them', cause },
    );
  }
  const fitness = keyFitness(key);
  if (fitness === 'weak') {
    throw new CertError('ERR_CERT_WEAK', `the key in ${name} is ${keyName(key)}`, {
      hint: `use ECDSA P-256, or RSA of at least ${MIN_RSA_BITS} bits`,
    });
  }
  if (fitness === 'unsupported') {
    throw new CertError('ERR_CERT_KEY_UNSUPPORTED', `the key in ${name} is of the kind ${keyName(key)}`, {
      hint: 'use ECDSA on P-256, P-384 or P-521, Ed25519, or RSA',
    });
  }
  return key;
}

function noKey(source: PemSource): CertError {
  const certificate = pemBlocks(source).some(({ label }) => label === 'CERTIFICATE');
  const nature = natureOfBlocks(source) ?? natureOfFile(source);
  const what = certificate ? '; it is a certificate' : nature ? `; it is ${nature.what}` : '';
  return new CertError('ERR_CERT_NO_KEY', `${nameOrigin(source)} holds no private key${what}`, {
    hint:
      (certificate || nature?.kind === 'certificate' ? undefined : nature?.hint) ??
      `give ${source.flag} a file with a block that begins with -----BEGIN PRIVATE KEY-----`,
  });
}

/** PKCS#8 PEM, unencrypted. */
export const exportPrivateKey = (key: KeyObject): string =>
  key.export({ type: 'pkcs8', format: 'pem' }).toString();
