// SPDX-License-Identifier: Apache-2.0
// TlsMaterial: a key, its certificates and the anchors for the peer, checked before any socket opens. This is the only
// place that makes one, so PEM text nobody looked at cannot reach a listener or a dialler.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { readAnchors, type Trust } from './anchors.js';
import { certificatePem, clock, exportPrivateKey, validityOf } from '../issue/certificate.js';
import { isoTime, nameCertificate } from '../describe.js';
import { CertError } from '../errors.js';
import { explainRefusal } from './peer-path.js';
import { factsOf, type CertificateFacts } from '../encoding/extensions.js';
import { certificatesIn, nameOrigin, privateKeyIn, type PemSource } from '../encoding/pem.js';
import { neededPurpose, type TlsRole } from '../role.js';
import { dateFault, issuedBy, issuerFault, keyFault, leafPurposeFault, signatureFault } from './rules.js';

declare const checked: unique symbol;

/** Checked material for one end of a link. Only `checkMaterial` makes it. */
export interface TlsMaterial {
  readonly [checked]: true;
  readonly role: TlsRole;
  /** Leaf first, then what lies between it and its root. */
  readonly chainPem: string;
  /** PKCS#8. No own property: printing or logging the material does not show it. */
  readonly keyPem: string;
  /** What the peer is verified by. Empty only where the caller allowed it. */
  readonly anchorsPem: readonly string[];
  readonly leaf: X509Certificate;
  readonly chain: readonly X509Certificate[];
  readonly anchors: readonly X509Certificate[];
  /** The earliest notAfter of leaf and chain. */
  readonly expiresAt: Date;
  /** What did not stop the material from being used and should be put right: constant sentences about public things. */
  readonly warnings: readonly string[];
}

export interface MaterialInput {
  readonly role: TlsRole;
  /** The leaf, then any intermediates, each the issuer of the one before. */
  readonly cert: PemSource;
  readonly key: PemSource;
  /** The certificates a peer is verified by. `null` only together with `allowNoAnchors`. */
  readonly anchors: PemSource | null;
  /** Accept `anchors: null`. Default false: without anchors nobody could be told from anybody. */
  readonly allowNoAnchors?: boolean;
  /** Also require that our own chain leads to one of these anchors. Default false: they verify the peer, not us. */
  readonly chainMustReachAnchors?: boolean;
  /** Default the clock. */
  readonly now?: Date;
}

class CheckedMaterial implements TlsMaterial {
  declare readonly [checked]: true;
  readonly role: TlsRole;
  readonly chainPem: string;
  readonly anchorsPem: readonly string[];
  readonly leaf: X509Certificate;
  readonly chain: readonly X509Certificate[];
  readonly anchors: readonly X509Certificate[];
  readonly expiresAt: Date;
  readonly warnings: readonly string[];
  readonly #keyPem: string;

  constructor(
    role: TlsRole,
    key: KeyObject,
    [leaf, ...chain]: readonly [X509Certificate, ...X509Certificate[]],
    trust: Trust,
  ) {
    this.role = role;
    this.#keyPem = exportPrivateKey(key);
    this.leaf = leaf;
    this.chain = chain;
    this.chainPem = [leaf, ...chain].map(certificate => certificatePem(certificate.raw)).join('');
    this.anchors = trust.anchors;
    this.anchorsPem = trust.anchors.map(anchor => certificatePem(anchor.raw));
    this.expiresAt = new Date(Math.min(...[leaf, ...chain].map(c => validityOf(c).notAfter.getTime())));
    this.warnings = trust.warnings;
    Object.freeze(this);
  }

  get keyPem(): string {
    return this.#keyPem;
  }
}

/**
 * Checks that key, certificates and anchors can do what they are for: the key is readable and the leaf's own; leaf and
 * chain are in their dates, strong, and each issued by the next; the leaf fits the role; every anchor parses and at
 * least one has not expired. Throws a CertError with a code per failure, naming the file and the flag.
 */
export function checkMaterial(input: MaterialInput): TlsMaterial {
  const { role, cert, now = new Date() } = input;
  const key = privateKeyIn(input.key);
  const [leaf, ...chain] = certificatesIn(cert);
  if (!leaf) throw new Error('internal error: certificatesIn returned an empty list');
  checkPair(input, key, leaf, chain);
  const facts = readFacts(leaf, () => `the certificate in ${nameOrigin(cert)}`);
  checkDates(input, leaf, now);
  checkPurpose(input, leaf, facts);
  checkStrength(input, leaf, facts);
  checkChain(input, leaf, chain, now);
  const trust = readAnchors(input.anchors, input.allowNoAnchors ?? false, now);
  if (input.chainMustReachAnchors === true && trust.anchors.length > 0) {
    const refusal = explainRefusal(leaf, chain, trust.anchors, role, { now });
    if (refusal) {
      throw new CertError(
        'ERR_CERT_CHAIN_NOT_ANCHORED',
        `the certificate in ${nameOrigin(cert)} does not lead to an anchor of ${input.anchors ? nameOrigin(input.anchors) : 'none'}: ${refusal.text}`,
        {
          hint: 'use a certificate this CA signed, and put intermediate certificates behind it in the same file',
        },
      );
    }
  }
  return new CheckedMaterial(role, key, [leaf, ...chain], trust);
}

function readFacts(certificate: X509Certificate, name: () => string): CertificateFacts {
  try {
    return factsOf(certificate);
  } catch (cause) {
    throw new CertError('ERR_CERT_UNREADABLE', `${name()} is not properly encoded (DER)`, {
      hint: 'have it issued again',
      cause,
    });
  }
}

function checkPair(
  { cert, key: keySource }: MaterialInput,
  key: KeyObject,
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
): void {
  if (belongs(leaf, key)) return;
  const place = chain.findIndex(other => belongs(other, key));
  throw new CertError(
    'ERR_CERT_KEY_MISMATCH',
    `the key in ${nameOrigin(keySource)} does not belong to the certificate in ${nameOrigin(cert)}, ${nameCertificate(leaf)}`,
    {
      hint:
        place >= 0
          ? `it belongs to certificate ${place + 2} of that file; put that one first`
          : `give ${cert.flag} and ${keySource.flag} files that were made together`,
    },
  );
}

function belongs(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.checkPrivateKey(key);
  } catch {
    return false;
  }
}

function checkDates({ cert }: MaterialInput, certificate: X509Certificate, now: Date, place = ''): void {
  const fault = dateFault(certificate, now);
  if (!fault) return;
  const { notBefore, notAfter } = validityOf(certificate);
  const subject = `${place || 'the certificate'} in ${nameOrigin(cert)}, ${nameCertificate(certificate)},`;
  if (fault === 'expired') {
    throw new CertError('ERR_CERT_EXPIRED', `${subject} expired at ${isoTime(notAfter)}; ${clock(now)}`, {
      hint: `have a new one issued and give it to ${cert.flag}; if the date is wrong, set the clock`,
    });
  }
  throw new CertError(
    'ERR_CERT_NOT_YET_VALID',
    `${subject} is valid from ${isoTime(notBefore)} on; ${clock(now)}`,
    {
      hint: 'set the clock of this machine, or of the one that issued the certificate',
    },
  );
}

function checkPurpose({ role, cert }: MaterialInput, leaf: X509Certificate, facts: CertificateFacts): void {
  const subject = `the certificate in ${nameOrigin(cert)}, ${nameCertificate(leaf)},`;
  if (facts.basicConstraints?.ca === true) {
    throw new CertError('ERR_CERT_IS_CA', `${subject} is a CA certificate`, {
      hint: `give ${cert.flag} a certificate that this CA issued; a CA's own key belongs on no link`,
    });
  }
  const fault = leafPurposeFault(facts, role);
  if (fault) {
    throw new CertError('ERR_CERT_WRONG_PURPOSE', `${subject} cannot be used by a TLS ${role}: ${fault}`, {
      hint: `have it issued with keyUsage digitalSignature and extendedKeyUsage ${neededPurpose[role]}, or with neither`,
    });
  }
  if (role === 'server' && facts.dnsNames.length + facts.addresses.length === 0) {
    throw new CertError('ERR_CERT_NO_NAME', `${subject} carries no name a client could check`, {
      hint: 'have it issued with a subjectAltName, such as DNS:podvm-server; the common name is not looked at',
    });
  }
  if (facts.unknownCritical.length > 0) {
    throw new CertError(
      'ERR_CERT_WRONG_PURPOSE',
      `${subject} has critical extensions that no peer understands (${facts.unknownCritical.join(', ')})`,
      { hint: 'have it issued without them' },
    );
  }
}

function checkStrength({ cert }: MaterialInput, certificate: X509Certificate, facts: CertificateFacts): void {
  const fault = keyFault(certificate) ?? signatureFault(facts);
  if (!fault) return;
  throw new CertError(
    'ERR_CERT_WEAK',
    `the certificate in ${nameOrigin(cert)}, ${nameCertificate(certificate)}, is weak: ${fault}`,
    {
      hint: 'have it issued with ECDSA P-256, Ed25519 or RSA from 2048 bits, and SHA-256',
    },
  );
}

function checkChain(
  input: MaterialInput,
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  now: Date,
): void {
  let child = leaf;
  for (const [index, issuer] of chain.entries()) {
    const place = `certificate ${index + 2} of ${chain.length + 1}`;
    const where = nameOrigin(input.cert);
    const facts = readFacts(issuer, () => `${place} in ${where}`);
    const fault =
      issuedBy(child, issuer) === 'yes' ? issuerFault(facts, index) : 'it did not sign the one before';
    if (fault) {
      throw new CertError(
        'ERR_CERT_CHAIN_BROKEN',
        `${place} in ${where}, ${nameCertificate(issuer)}, is not the issuer of ${nameCertificate(child)}: ${fault}`,
        {
          hint: 'put the leaf first and behind each certificate the one that signed it, and leave others out',
        },
      );
    }
    checkDates(input, issuer, now, place);
    checkStrength(input, issuer, facts);
    child = issuer;
  }
}
