// SPDX-License-Identifier: Apache-2.0
// Our own reading of a peer's certificates, beside OpenSSL's. Verifying a signature and taking a certificate apart
// costs more than all the rest of opening a link, and comes to the same for the same bytes: what was accepted is
// remembered, and holds between its dates. A refusal is never remembered. No sockets here.
import { createHash, type X509Certificate } from 'node:crypto';
import {
  datesToShow,
  describeCertificate,
  type OpensslRefusal,
  type Refusal,
  type TlsMaterial,
  type TlsRole,
} from '@peerpod-tls/certs';
import { verifyCertificates } from './verify-certificates.js';

/** What is worth knowing of a peer's certificate. Made to be logged. */
export interface SeenCertificate {
  readonly subject: string;
  readonly names: readonly string[];
  /** SHA-256, 64 hexadecimal digits. */
  readonly fingerprint: string;
  /** SHA-256 of its public key (SubjectPublicKeyInfo), 64 hexadecimal digits. */
  readonly publicKey: string;
  readonly notAfter: Date;
  /** When the first certificate on the way to the anchor expires. */
  readonly validUntil: Date;
}

export type CertificateReading =
  | { readonly t: 'refused'; readonly refusal: Refusal }
  | { readonly t: 'accepted'; readonly seen: SeenCertificate };

interface Remembered {
  readonly accepted: CertificateReading & { readonly t: 'accepted' };
  /** Between these, in milliseconds since 1970, every certificate on the way to the anchor is valid. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Whether OpenSSL agreed only once it was shown the way. */
  readonly alongPath: boolean;
}

/** What a peer sends beside its leaf is looked at up to this many; our own programs send no more. */
const MOST_PRESENTED = 15;

/** Acceptances kept per material. One adaptor meets one server, a pod VM a handful of adaptors' certificates. */
const MOST_REMEMBERED = 64;

/** Bound to the material: other anchors make other readings, and a reload begins with none. */
const memory = new WeakMap<TlsMaterial, Map<string, Remembered>>();

/**
 * Verifies what a peer presented, as `verifyCertificates` does, and says the same as verifying it anew each time: a
 * remembered acceptance counts for exactly these certificates (by SHA-256), this role and this name, only while `now`
 * lies within all dates it rests on, and only where OpenSSL's verdict in the handshake is as good as it was then.
 * `name` is asked of a server only.
 */
export async function readCertificates(
  leaf: X509Certificate,
  material: TlsMaterial,
  role: TlsRole,
  name: string | undefined,
  inHandshake: OpensslRefusal | null,
  now: Date,
): Promise<CertificateReading> {
  const chain = chainOf(leaf);
  const prints = [leaf, ...chain].map(certificate => certificate.fingerprint256);
  const key = `${role} ${JSON.stringify(name ?? null)} ${prints.join(' ')}`;
  const known = memory.get(material)?.get(key);
  const at = now.getTime();
  if (known !== undefined && known.notBefore <= at && at <= known.notAfter) {
    if (inHandshake === null || known.alongPath) return known.accepted;
  }
  const verdict = await verifyCertificates(
    { leaf, chain, anchors: material.anchors, role, name, now },
    inHandshake,
  );
  if (verdict.t === 'refused') return verdict;
  const { notBefore, notAfter } = verdict.path;
  const validUntil = new Date(notAfter);
  const { subject, names, fingerprint } = describeCertificate(leaf);
  const seen = {
    subject,
    names,
    fingerprint,
    publicKey: publicKeyHash(leaf),
    notAfter: datesToShow(leaf)?.notAfter ?? validUntil,
    validUntil,
  };
  const accepted = { t: 'accepted', seen } as const;
  remember(material, key, { accepted, notBefore, notAfter, alongPath: verdict.alongPath });
  return accepted;
}

export function publicKeyHash({ publicKey }: X509Certificate): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex');
}

function remember(material: TlsMaterial, key: string, entry: Remembered): void {
  let ofMaterial = memory.get(material);
  if (ofMaterial === undefined) memory.set(material, (ofMaterial = new Map()));
  ofMaterial.delete(key);
  for (const oldest of ofMaterial.keys()) {
    if (ofMaterial.size < MOST_REMEMBERED) break;
    ofMaterial.delete(oldest);
  }
  ofMaterial.set(key, entry);
}

/** What the peer sent beyond its leaf, nearest issuer first. The limit stands against a ring of cross-signed ones. */
function chainOf(leaf: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let issuer = leaf.issuerCertificate;
  let hops = 0;
  while (issuer !== undefined && hops < MOST_PRESENTED) {
    const { fingerprint256 } = issuer;
    hops += 1;
    const again =
      fingerprint256 === leaf.fingerprint256 || chain.some(c => c.fingerprint256 === fingerprint256);
    if (!again) chain.push(issuer);
    issuer = issuer.issuerCertificate;
  }
  return chain;
}
