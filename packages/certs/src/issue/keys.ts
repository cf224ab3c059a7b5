// SPDX-License-Identifier: Apache-2.0
// Making keys, and which signature goes with which key. OpenSSL does the work, through node:crypto.
import { generateKeyPair, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { CertError } from '../errors.js';
import { keyName } from '../keys.js';

/** What an authority or a leaf may be asked to use. */
export type KeyAlgorithm = 'ecdsa-p256' | 'ecdsa-p384' | 'ed25519' | 'rsa-2048' | 'rsa-3072' | 'rsa-4096';

const DEFAULT_ALGORITHM: KeyAlgorithm = 'ecdsa-p256';

const generateRsa = promisify(generateKeyPair);
const rsaBits = { 'rsa-2048': 2048, 'rsa-3072': 3072, 'rsa-4096': 4096 } as const;

/** A new private key. RSA takes 0.1 s to seconds and is made off the event loop; the others take microseconds. */
export async function generatePrivateKey(algorithm: KeyAlgorithm = DEFAULT_ALGORITHM): Promise<KeyObject> {
  switch (algorithm) {
    case 'ecdsa-p256':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
    case 'ecdsa-p384':
      return generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey;
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
      return (await generateRsa('rsa', { modulusLength: rsaBits[algorithm] })).privateKey;
    default:
      throw new CertError(
        'ERR_CERT_KEY_UNSUPPORTED',
        `${JSON.stringify(algorithm satisfies never)} is not a key algorithm`,
        { hint: 'use ecdsa-p256, ecdsa-p384, ed25519, rsa-2048, rsa-3072 or rsa-4096' },
      );
  }
}

/** How one kind of key signs: the OID of the signature, its hash for OpenSSL, and whether NULL parameters are written. */
export interface SignatureScheme {
  readonly oid: string;
  /** `null` where the scheme hashes by itself. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null;
  /** RFC 4055 wants NULL for RSA; RFC 5758 and RFC 8410 want nothing for ECDSA and Ed25519. */
  readonly nullParameters: boolean;
  readonly keyType: 'ec' | 'ed25519' | 'rsa';
}

const ecdsa = (n: number, hash: SignatureScheme['hash']): SignatureScheme => ({
  oid: `1.2.840.10045.4.3.${n}`,
  hash,
  nullParameters: false,
  keyType: 'ec',
});
const rsa = (n: number, hash: SignatureScheme['hash']): SignatureScheme => ({
  oid: `1.2.840.113549.1.1.${n}`,
  hash,
  nullParameters: true,
  keyType: 'rsa',
});

const ecdsaSha256 = ecdsa(2, 'sha256');
const ecdsaSha384 = ecdsa(3, 'sha384');
const ecdsaSha512 = ecdsa(4, 'sha512');
const rsaSha256 = rsa(11, 'sha256');
const ed25519: SignatureScheme = {
  oid: '1.3.101.112',
  hash: null,
  nullParameters: false,
  keyType: 'ed25519',
};

/** The signatures a certificate request may carry, by OID. */
export const signatureSchemes: ReadonlyMap<string, SignatureScheme> = new Map(
  [ecdsaSha256, ecdsaSha384, ecdsaSha512, rsaSha256, rsa(12, 'sha384'), rsa(13, 'sha512'), ed25519].map(
    scheme => [scheme.oid, scheme],
  ),
);

/** What we sign with under that key. The hash matches the curve's strength; RSA stays with SHA-256. */
export function schemeFor(key: KeyObject): SignatureScheme {
  switch (key.asymmetricKeyType) {
    case 'ec':
      return key.asymmetricKeyDetails?.namedCurve === 'secp384r1'
        ? ecdsaSha384
        : key.asymmetricKeyDetails?.namedCurve === 'secp521r1'
          ? ecdsaSha512
          : ecdsaSha256;
    case 'ed25519':
      return ed25519;
    case 'rsa':
      return rsaSha256;
    default:
      throw new CertError('ERR_CERT_KEY_UNSUPPORTED', `a key of type ${keyName(key)} cannot sign here`);
  }
}
