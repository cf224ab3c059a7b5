// SPDX-License-Identifier: Apache-2.0
// The certificate authority of an adaptor: made or loaded, then asked for leaves. It keeps its key to itself; where the
// key is stored is the caller's affair.
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { issued, signCertificate, validityFrom, type IssuedCertificate } from './certificate.js';
import { readCsr } from './csr.js';
import type { DerNode } from '../encoding/der.js';
import { messageOf } from '@peerpod-tls/base';
import { CertError } from '../errors.js';
import {
  alternativeNames,
  authorityKeyIdentifier,
  basicConstraints,
  keyIdentifier,
  keyUsage,
  ownKeyIdentifiers,
  Purpose,
  spkiOf,
  subjectKeyIdentifier,
} from '../encoding/extensions.js';
import { generatePrivateKey, type KeyAlgorithm } from './keys.js';
import { checkNames, encodeSubject, MAX_COMMON_NAME, type SubjectName } from '../encoding/names.js';
import { certificatesIn } from '../encoding/certificates.js';
import { certificatePem } from '../encoding/pem.js';
import { exportPrivateKey, privateKeyIn } from '../encoding/private-key.js';
import type { Validity } from '../encoding/validity.js';
import { clock } from '../describe.js';
import { factsOf, type CertificateFacts } from '../verify/facts.js';
import { neededPurpose, type TlsRole } from '../role.js';
import { leafUsage } from './leaf-usage.js';
import { caProfile, leafProfiles } from './profiles.js';

export interface AuthorityOptions {
  /** Default `O=agent-protocol-forwarder`. */
  readonly subject?: SubjectName;
  /** Default `ecdsa-p256`. */
  readonly algorithm?: KeyAlgorithm;
  /** Days from now. Default 1825. */
  readonly lifetimeDays?: number;
  /** Default the clock. */
  readonly now?: Date;
}

export interface LeafOptions {
  /** DNS names and IP addresses for the subject alternative name. A server leaf needs at least one. */
  readonly names?: readonly string[];
  /** Default upstream's: the profile's O and, for a server, the first name as CN where it fits. */
  readonly subject?: SubjectName;
  /** Days from now, ending with the CA at the latest. Default 730. */
  readonly lifetimeDays?: number;
  /** Default the clock. */
  readonly now?: Date;
}

const caUsage: readonly DerNode[] = [keyUsage('keyCertSign', 'cRLSign'), basicConstraints('ca')];

/** A CA with its key in memory. Everything it issues is checked by nobody but its verifiers: give it honest names. */
export class Authority {
  readonly certPem: string;
  readonly certificate: X509Certificate;
  readonly #key: KeyObject;
  readonly #name: DerNode;
  readonly #keyId: DerNode;
  readonly #validity: Validity;
  readonly #purposes: readonly string[] | null;

  private constructor(certificate: X509Certificate, key: KeyObject) {
    const facts = factsOf(certificate);
    this.certificate = certificate;
    this.certPem = certificatePem(certificate.raw);
    this.#key = key;
    this.#name = facts.subject;
    this.#keyId = authorityKeyIdentifier(facts.subjectKeyId ?? keyIdentifier(spkiOf(certificate.publicKey)));
    this.#validity = { notBefore: facts.notBefore, notAfter: facts.notAfter };
    this.#purposes = facts.purposes;
  }

  /** A new self-signed CA, which may issue leaves and no further CA. */
  static async create(options: AuthorityOptions = {}): Promise<Authority> {
    const { subject = caProfile.subject, lifetimeDays = caProfile.lifetimeDays, now = new Date() } = options;
    const name = encodeSubject(subject);
    const validity = validityFrom(now, lifetimeDays);
    const key = await generatePrivateKey(options.algorithm);
    const spki = spkiOf(createPublicKey(key));
    const extensions = [...caUsage, ...ownKeyIdentifiers(spki)];
    const der = signCertificate({ issuer: name, subject: name, spki, validity, extensions }, key);
    return new Authority(new X509Certificate(der), key);
  }

  /**
   * An existing CA: one certificate and its key, as PEM. Throws what reading the two can throw, and
   * ERR_CERT_SEVERAL_CERTIFICATES, ERR_CERT_NOT_A_CA, ERR_CERT_KEY_MISMATCH, ERR_CERT_EXPIRED or
   * ERR_CERT_NOT_YET_VALID.
   */
  static load(certPem: string, keyPem: string, options: { readonly now?: Date } = {}): Authority {
    const { now = new Date() } = options;
    const certificates = certificatesIn({ pem: certPem, file: 'the CA certificate', flag: 'PEM text' });
    const [certificate] = certificates;
    if (!certificate || certificates.length > 1) {
      throw new CertError(
        'ERR_CERT_SEVERAL_CERTIFICATES',
        `the CA certificate is ${certificates.length} certificates`,
        { hint: 'an authority is one certificate and its key; keep the chain above it elsewhere' },
      );
    }
    const key = privateKeyIn({ pem: keyPem, file: 'the CA key', flag: 'PEM text' });
    const { notBefore, notAfter } = checkIsAuthority(certificate);
    if (!certificate.checkPrivateKey(key)) {
      throw new CertError('ERR_CERT_KEY_MISMATCH', 'the CA key does not belong to the CA certificate', {
        hint: 'load the key the certificate was made with',
      });
    }
    if (now > notAfter) {
      throw new CertError('ERR_CERT_EXPIRED', `the CA expired at ${notAfter.toISOString()}; ${clock(now)}`, {
        hint: 'make a new CA; what the old one signed has expired with it',
      });
    }
    if (now < notBefore) {
      throw new CertError(
        'ERR_CERT_NOT_YET_VALID',
        `the CA is valid from ${notBefore.toISOString()} on; ${clock(now)}`,
        { hint: 'check the clock of this machine' },
      );
    }
    return new Authority(certificate, key);
  }

  /** The private key as PKCS#8 PEM, for the one place it is stored in. Nothing else lets it out. */
  exportKeyPem(): string {
    return exportPrivateKey(this.#key);
  }

  /** A new key and its certificate. Throws a CertError for names, a subject or a lifetime that cannot be. */
  async issue(
    profile: TlsRole,
    options: LeafOptions & { readonly algorithm?: KeyAlgorithm } = {},
  ): Promise<IssuedCertificate> {
    this.#checkRequest(profile, options);
    const key = await generatePrivateKey(options.algorithm);
    return issued(this.#certify(spkiOf(createPublicKey(key)), profile, options), key);
  }

  /**
   * A certificate, as PEM, for the public key of a PKCS#10 request whose self-signature holds. Nothing else of the
   * request is used: names, subject and dates are the caller's. Throws ERR_CERT_CSR_REFUSED and what `issue` throws.
   */
  signCsr(csrPem: string, profile: TlsRole, options: LeafOptions = {}): string {
    const { spki } = readCsr(csrPem);
    this.#checkRequest(profile, options);
    return certificatePem(this.#certify(spki, profile, options));
  }

  /** Everything that can be refused is, before the cost of a key. */
  #checkRequest(profile: TlsRole, { names = [], subject }: LeafOptions): void {
    checkNames(names);
    if (subject) encodeSubject(subject);
    if (leafProfiles[profile].needsName && names.length === 0) {
      throw new CertError('ERR_CERT_NAME_INVALID', `a ${profile} certificate needs a name`, {
        hint: 'give the name or address its clients dial it by',
      });
    }
    const purpose = Purpose[neededPurpose[profile]];
    if (this.#purposes && !this.#purposes.includes(purpose)) {
      throw new CertError('ERR_CERT_WRONG_PURPOSE', `the CA may not issue ${profile} certificates`, {
        hint: `its extended key usage leaves ${neededPurpose[profile]} out, and verifiers apply that to its leaves`,
      });
    }
  }

  #certify(spki: DerNode, profile: TlsRole, options: LeafOptions): Buffer {
    const { names = [], now = new Date(), lifetimeDays = leafProfiles[profile].lifetimeDays } = options;
    const validity = validityFrom(now, lifetimeDays, this.#validity);
    const extensions = [...leafUsage[profile], subjectKeyIdentifier(keyIdentifier(spki)), this.#keyId];
    if (names.length > 0) extensions.push(alternativeNames(names));
    const subject = encodeSubject(options.subject ?? defaultSubject(profile, names));
    return signCertificate({ issuer: this.#name, subject, spki, validity, extensions }, this.#key);
  }
}

function defaultSubject(profile: TlsRole, [first]: readonly string[]): SubjectName {
  const { subject } = leafProfiles[profile];
  const fits = profile === 'server' && first !== undefined && first.length <= MAX_COMMON_NAME;
  return fits ? { ...subject, CN: first } : subject;
}

function checkIsAuthority(certificate: X509Certificate): CertificateFacts {
  let facts;
  try {
    facts = factsOf(certificate);
  } catch (cause) {
    throw new CertError('ERR_CERT_UNREADABLE', `the CA certificate cannot be read: ${messageOf(cause)}`, {
      hint: 'make a new CA',
      cause,
    });
  }
  const maySign = facts.keyUsage === null || facts.keyUsage.includes('keyCertSign');
  if (facts.basicConstraints?.ca !== true || !maySign) {
    throw new CertError('ERR_CERT_NOT_A_CA', 'the CA certificate may not sign certificates', {
      hint: 'it needs basicConstraints CA:TRUE, and keyCertSign if it has a key usage',
    });
  }
  return facts;
}
