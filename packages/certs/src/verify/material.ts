// SPDX-License-Identifier: Apache-2.0
// TlsMaterial: a key, its certificates and the anchors for the peer, checked before any socket opens. This is the only
// place that makes one, so PEM text nobody looked at cannot reach a listener or a dialler. What OpenSSL makes of it is
// proved by link.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { describeCertificate, fingerprintOf, isoTime, nameCertificate, subjectOf } from '../describe.js';
import { certificatePem } from '../encoding/pem.js';
import { exportPrivateKey, privateKeyIn } from '../encoding/private-key.js';
import { nameOrigin, type Origin, type PemSource } from '../encoding/source.js';
import { CertError, type CertErrorCode } from '../errors.js';
import { neededPurpose, type TlsRole } from '../role.js';
import { readAnchors, type Trust } from './anchors.js';
import { datesToShow, factsOf } from './facts.js';
import { MAX_PRESENTED, MAX_PRESENTED_BYTES } from './limits.js';
import {
  ownCertificates,
  ownChain,
  presentedCertificates,
  unreadableBlock,
  type Candidates,
  type OwnChain,
  type OwnFault,
} from './own-chain.js';
import type { Path } from './paths.js';
import { verifyPeer } from './peer-path.js';
import type { RefusalRule } from './refusal.js';

declare const checked: unique symbol;

/** Checked material for one end of a link. Only `checkMaterial` makes it. */
export interface TlsMaterial {
  readonly [checked]: true;
  readonly role: TlsRole;
  /** Where the certificates came from, for messages. */
  readonly origin: Origin;
  /** Leaf first, then what lies between it and its root: what is sent. */
  readonly chainPem: string;
  /** PKCS#8. No own property: printing or logging the material does not show it. */
  readonly keyPem: string;
  /** What the peer is verified by. Empty only where the caller allowed it. */
  readonly anchorsPem: readonly string[];
  readonly leaf: X509Certificate;
  readonly chain: readonly X509Certificate[];
  readonly anchors: readonly X509Certificate[];
  /** The way in use, from the leaf to one of the anchors where it leads there, or to the top of our own chain. */
  readonly path: Path;
  /** Whether the way in use ends at one of our own anchors. */
  readonly reachesAnchors: boolean;
  /** The earliest notAfter on the way in use. */
  readonly expiresAt: Date;
  /** What did not stop the material from being used and should be put right: constant sentences about public things. */
  readonly warnings: readonly string[];
}

export interface MaterialInput {
  readonly role: TlsRole;
  /** The leaf and any intermediates, in any order; the leaf is the one the key belongs to. */
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
  readonly origin: Origin;
  readonly chainPem: string;
  readonly anchorsPem: readonly string[];
  readonly leaf: X509Certificate;
  readonly chain: readonly X509Certificate[];
  readonly anchors: readonly X509Certificate[];
  readonly path: Path;
  readonly reachesAnchors: boolean;
  readonly expiresAt: Date;
  readonly warnings: readonly string[];
  readonly #keyPem: string;

  constructor(
    { role, cert }: MaterialInput,
    key: KeyObject,
    own: OwnChain,
    trust: Trust,
    warnings: string[],
  ) {
    const [leaf, ...chain] = own.certificates;
    this.role = role;
    this.origin = { file: cert.file, flag: cert.flag };
    this.#keyPem = exportPrivateKey(key);
    this.leaf = leaf;
    this.chain = chain;
    this.chainPem = own.certificates.map(certificate => certificatePem(certificate.raw)).join('');
    this.anchors = trust.anchors;
    this.anchorsPem = trust.anchors.map(anchor => certificatePem(anchor.raw));
    this.path = own.path;
    this.reachesAnchors = own.reachesAnchors;
    this.expiresAt = own.expiresAt;
    this.warnings = warnings;
    Object.freeze(this);
  }

  get keyPem(): string {
    return this.#keyPem;
  }
}

/**
 * Checks that key, certificates and anchors can do what they are for: the key is readable and the leaf's own; the way
 * in use from the leaf upwards is within its dates, strong, and may be used for the role; at least one anchor is good
 * and has not expired; no limit of TLS is passed. Throws a CertError with a code per failure, naming file and flag.
 */
export function checkMaterial(input: MaterialInput): TlsMaterial {
  const key = privateKeyIn(input.key);
  const candidates = ownCertificates(input.cert, key, input.key);
  const { own, trust, warnings } = examined(input, candidates);
  return new CheckedMaterial(input, key, own, trust, warnings);
}

/** What `checkMaterial` says of certificates whose key is elsewhere; the first one is the leaf. */
export interface CheckedCertificates {
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]];
  readonly path: Path;
  readonly warnings: readonly string[];
}

/** Checks what `checkMaterial` checks, of certificates that come without their key. Throws what it throws. */
export function checkCertificates(input: Omit<MaterialInput, 'key'>): CheckedCertificates {
  const { own, warnings } = examined(input, presentedCertificates(input.cert));
  return { certificates: own.certificates, path: own.path, warnings };
}

function examined(
  input: Omit<MaterialInput, 'key'>,
  candidates: Candidates,
): { own: OwnChain; trust: Trust; warnings: string[] } {
  const { role, cert, now = new Date() } = input;
  const trust = readAnchors(input.anchors, input.allowNoAnchors ?? false, role, now);
  const own = ownChain(candidates, trust.anchors, role, cert, now);
  if ('rule' in own) throw ownError(own, input);
  // It may be the very one that leads on to an anchor.
  const [bad] = candidates.unreadable;
  if (bad !== undefined && !own.reachesAnchors) throw unreadableBlock(bad);
  checkNames(input, own);
  checkLimits(own, cert);
  if (input.chainMustReachAnchors === true && trust.anchors.length > 0 && !own.reachesAnchors) {
    const [leaf, ...chain] = own.certificates;
    const refused = verifyPeer({ leaf, chain, anchors: trust.anchors, role, now });
    throw new CertError(
      'ERR_CERT_CHAIN_NOT_ANCHORED',
      `the certificate in ${nameOrigin(cert)} does not lead to an anchor of ${input.anchors ? nameOrigin(input.anchors) : 'none'}: ${refused.t === 'refused' ? refused.refusal.text : ''}`,
      {
        hint: 'use a certificate this CA signed, and put intermediate certificates behind it in the same file',
      },
    );
  }
  return { own, trust, warnings: [...own.warnings, ...trust.warnings] };
}

const codes: Readonly<Record<RefusalRule, CertErrorCode>> = {
  'no-certificate': 'ERR_CERT_NO_CERTIFICATE',
  unreadable: 'ERR_CERT_UNREADABLE',
  'unknown-issuer': 'ERR_CERT_CHAIN_BROKEN',
  'bad-signature': 'ERR_CERT_CHAIN_BROKEN',
  'key-identifier': 'ERR_CERT_CHAIN_BROKEN',
  'too-many-candidates': 'ERR_CERT_LIMIT',
  expired: 'ERR_CERT_EXPIRED',
  'not-yet-valid': 'ERR_CERT_NOT_YET_VALID',
  'wrong-purpose': 'ERR_CERT_WRONG_PURPOSE',
  'is-ca': 'ERR_CERT_IS_CA',
  'wrong-name': 'ERR_CERT_NO_NAME',
  'name-constraint': 'ERR_CERT_CHAIN_BROKEN',
  weak: 'ERR_CERT_WEAK',
  'issuer-not-allowed': 'ERR_CERT_CHAIN_BROKEN',
  'unknown-critical-extension': 'ERR_CERT_WRONG_PURPOSE',
  'refused-by-openssl': 'ERR_CERT_CHAIN_BROKEN',
};

function ownError({ rule, text, index }: OwnFault, { cert, role }: Omit<MaterialInput, 'key'>): CertError {
  const hints: Partial<Record<RefusalRule, string>> = {
    expired: `have a new one issued and give it to ${cert.flag}; if the date is wrong, set the clock`,
    'not-yet-valid': 'set the clock of this machine, or of the one that issued the certificate',
    'is-ca': `give ${cert.flag} a certificate that this CA issued; a CA's own key belongs on no link`,
    'wrong-purpose': `have it issued with keyUsage digitalSignature and extendedKeyUsage ${neededPurpose[role]}`,
    'unknown-critical-extension': 'have it issued without them',
    weak: 'have it issued with ECDSA P-256, Ed25519 or RSA from 2048 bits, and SHA-256',
    unreadable: 'have it issued again',
    'too-many-candidates': 'have the leaf issued nearer to its root, and keep the certificates of one way',
    'key-identifier': 'have it issued again; openssl x509 -text shows both identifiers',
    'issuer-not-allowed':
      'have that CA issued anew with basicConstraints CA and keyUsage keyCertSign, or use another one',
  };
  const where = index === 0 ? '' : ', on the way up from the leaf';
  return new CertError(codes[rule], `in ${nameOrigin(cert)}${where}: ${text}`, {
    hint: hints[rule] ?? 'put the leaf first and behind each certificate the one that signed it',
  });
}

function checkNames({ role, cert }: Omit<MaterialInput, 'key'>, { certificates: [leaf] }: OwnChain): void {
  const { dnsNames, addresses } = factsOf(leaf);
  if (role !== 'server' || dnsNames.length + addresses.length > 0) return;
  throw new CertError(
    'ERR_CERT_NO_NAME',
    `the certificate in ${nameOrigin(cert)}, ${nameCertificate(leaf)}, carries no name a client could check`,
    {
      hint: 'have it issued with a subjectAltName, such as DNS:podvm-server; the common name is not looked at',
    },
  );
}

function checkLimits({ certificates }: OwnChain, cert: PemSource): void {
  const where = nameOrigin(cert);
  if (certificates.length > MAX_PRESENTED) {
    throw new CertError(
      'ERR_CERT_LIMIT',
      `${certificates.length} certificates in ${where} lie on ways up from the leaf, and a peer looks at no more than ${MAX_PRESENTED}`,
      { hint: 'keep those of one way' },
    );
  }
  const bytes = certificates.reduce((sum, certificate) => sum + 3 + certificate.raw.length, 0);
  if (bytes <= MAX_PRESENTED_BYTES) return;
  throw new CertError(
    'ERR_CERT_LIMIT',
    `the certificates in ${where} come to ${bytes} bytes, and a peer reads no more than ${MAX_PRESENTED_BYTES}`,
    { hint: 'have the leaf issued with fewer names' },
  );
}

/** The material as log fields: no PEM, no key. */
export function describeMaterial(material: TlsMaterial): Record<string, unknown> {
  return {
    role: material.role,
    leaf: describeCertificate(material.leaf),
    chainLength: material.chain.length + 1,
    expiresAt: material.expiresAt.toISOString(),
    anchors: material.anchors.map(anchor => ({
      subject: subjectOf(anchor),
      fingerprint: fingerprintOf(anchor),
      notAfter: isoTime(datesToShow(anchor)?.notAfter),
    })),
    warnings: material.warnings,
  };
}
