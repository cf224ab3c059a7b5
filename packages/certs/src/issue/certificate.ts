// SPDX-License-Identifier: Apache-2.0
// Putting an X.509 v3 certificate together and signing it. What goes into it is decided by the callers.
import { randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';
import {
  bitString,
  context,
  encodeDer,
  integer,
  nullValue,
  oid,
  sequence,
  time,
  type DerNode,
} from '../encoding/der.js';
import { CertError } from '../errors.js';
import { schemeFor, type SignatureScheme } from './keys.js';
import { certificatePem } from '../encoding/pem.js';
import { exportPrivateKey } from '../encoding/private-key.js';
import type { Validity } from '../encoding/validity.js';
import { clock } from '../describe.js';
import { BACKDATE_MS, DAY_MS, MAX_LIFETIME_DAYS } from './profiles.js';

export interface CertificateContent {
  readonly issuer: DerNode;
  readonly subject: DerNode;
  /** SubjectPublicKeyInfo. */
  readonly spki: DerNode;
  readonly validity: Validity;
  readonly extensions: readonly DerNode[];
}

/** A certificate with its private key. The key is no own property, so printing or logging the object does not show it. */
export interface IssuedCertificate {
  readonly certPem: string;
  /** PKCS#8. */
  readonly keyPem: string;
  readonly certificate: X509Certificate;
}

class Issued implements IssuedCertificate {
  readonly certPem: string;
  readonly #der: Buffer;
  readonly #key: KeyObject;
  #certificate: X509Certificate | undefined;

  constructor(der: Buffer, key: KeyObject) {
    this.certPem = certificatePem(der);
    this.#der = der;
    this.#key = key;
  }

  /** Parsed when first asked for: that takes OpenSSL longer than signing did. */
  get certificate(): X509Certificate {
    this.#certificate ??= new X509Certificate(this.#der);
    return this.#certificate;
  }

  get keyPem(): string {
    return exportPrivateKey(this.#key);
  }
}

export const issued = (der: Buffer, key: KeyObject): IssuedCertificate => new Issued(der, key);

/**
 * 128 bits: random, positive, in exactly 16 octets. The top bit is clear (DER integers are signed) and the next one
 * set, so that the first octet is never a padding zero and the serial is never zero.
 */
function randomSerial(): Buffer {
  const serial = randomBytes(16);
  serial.writeUInt8((serial.readUInt8(0) & 0x7f) | 0x40, 0);
  return serial;
}

const algorithmIdentifier = (scheme: SignatureScheme): DerNode =>
  scheme.nullParameters ? sequence(oid(scheme.oid), nullValue()) : sequence(oid(scheme.oid));

const version3 = context(0, [integer(Uint8Array.of(2))]);

/** The DER of a certificate signed with that key. */
export function signCertificate(content: CertificateContent, key: KeyObject): Buffer {
  const scheme = schemeFor(key);
  const algorithm = algorithmIdentifier(scheme);
  const tbs = sequence(
    version3,
    integer(randomSerial()),
    algorithm,
    content.issuer,
    sequence(time(content.validity.notBefore), time(content.validity.notAfter)),
    content.subject,
    content.spki,
    context(3, [sequence(...content.extensions)]),
  );
  return encodeDer(sequence(tbs, algorithm, bitString(sign(scheme.hash, encodeDer(tbs), key))));
}

const wholeSecond = (at: number): Date => new Date(Math.floor(at / 1000) * 1000);

/**
 * From a little before `now` until `lifetimeDays` after it, both within the issuer's own dates. Throws
 * ERR_CERT_LIFETIME_INVALID for a lifetime that is no positive number of days, ERR_CERT_EXPIRED and
 * ERR_CERT_NOT_YET_VALID when nothing of the issuer's dates is left.
 */
export function validityFrom(now: Date, lifetimeDays: number, issuer?: Validity): Validity {
  if (!(lifetimeDays > 0 && lifetimeDays <= MAX_LIFETIME_DAYS)) {
    throw new CertError('ERR_CERT_LIFETIME_INVALID', `a lifetime of ${lifetimeDays} days is not possible`, {
      hint: `use more than 0 and at most ${MAX_LIFETIME_DAYS} days`,
    });
  }
  const from = wholeSecond(now.getTime() - BACKDATE_MS);
  const until = wholeSecond(now.getTime() + lifetimeDays * DAY_MS);
  if (!issuer) return { notBefore: from, notAfter: until };
  if (now > issuer.notAfter) {
    throw new CertError(
      'ERR_CERT_EXPIRED',
      `the CA expired at ${issuer.notAfter.toISOString()}; ${clock(now)}`,
      {
        hint: 'make a new CA; what the old one signed has expired with it',
      },
    );
  }
  if (until <= issuer.notBefore) {
    throw new CertError(
      'ERR_CERT_NOT_YET_VALID',
      `the CA is valid from ${issuer.notBefore.toISOString()} on; ${clock(now)}`,
      { hint: 'check the clock of this machine' },
    );
  }
  return {
    notBefore: from < issuer.notBefore ? issuer.notBefore : from,
    notAfter: until > issuer.notAfter ? issuer.notAfter : until,
  };
}
