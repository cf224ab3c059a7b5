// SPDX-License-Identifier: Apache-2.0
// Which kinds of key there may be here, and how they are called. Making one is in issue/keys.ts.
import type { KeyObject } from 'node:crypto';

/** Smaller RSA moduli, in bits, are refused everywhere (NIST SP 800-131A, and OpenSSL's security level 2). */
export const MIN_RSA_BITS = 2048;
/** What OpenSSL will still verify with in a handshake. */
const MAX_RSA_BITS = 16_384;

const curveNames: Readonly<Record<string, string>> = {
  prime256v1: 'ecdsa-p256',
  secp384r1: 'ecdsa-p384',
  secp521r1: 'ecdsa-p521',
};

/** The key in a few characters, for messages and logs: `ecdsa-p256`, `rsa-2048`, `ed25519`, or OpenSSL's own word. */
export function keyName(key: KeyObject): string {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ec':
      return curveNames[namedCurve ?? ''] ?? `ec ${namedCurve ?? 'with explicit parameters'}`;
    case 'rsa':
      return `rsa-${modulusLength}`;
    default:
      return key.asymmetricKeyType ?? 'unknown';
  }
}

export type KeyFitness = 'ok' | 'weak' | 'unsupported';

/** Whether a key of that kind and size may take part in TLS here: P-256, P-384, P-521, Ed25519, RSA from 2048 bits. */
export function keyFitness(key: KeyObject): KeyFitness {
  switch (key.asymmetricKeyType) {
    case 'ec':
      return curveNames[key.asymmetricKeyDetails?.namedCurve ?? ''] === undefined ? 'unsupported' : 'ok';
    case 'ed25519':
      return 'ok';
    case 'rsa': {
      const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
      if (bits > MAX_RSA_BITS) return 'unsupported';
      return bits < MIN_RSA_BITS ? 'weak' : 'ok';
    }
    default:
      return 'unsupported';
  }
}
