// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/certs.
export { Authority, type AuthorityOptions, type LeafOptions } from './issue/authority.js';
export { anchorsForServer } from './issue/name-bearer.js';
export type { IssuedCertificate } from './issue/certificate.js';
export { describeCertificate, fingerprintOf, type CertificateSummary } from './describe.js';
export { readAnchors } from './verify/anchors.js';
export { datesToShow } from './verify/facts.js';
export {
  verifyPeer,
  type AcceptedPath,
  type PeerCertificates,
  type PeerVerification,
} from './verify/peer-path.js';
export { makeRefusal, REFUSAL_RULES, type Refusal, type RefusalRule } from './verify/refusal.js';
export type { KeyAlgorithm } from './issue/keys.js';
export {
  checkCertificates,
  checkMaterial,
  describeMaterial,
  type MaterialInput,
  type TlsMaterial,
} from './verify/material.js';
export type { SubjectName } from './encoding/names.js';
export { certificatesIn } from './encoding/certificates.js';
export { holdsPrivateKey } from './encoding/private-key.js';
export { readPem, type Origin, type PemSource } from './encoding/source.js';
export { opensslRefusal, type OpensslRefusal } from './verify/openssl-refusal.js';
export type { TlsRole } from './role.js';
export { selfSignedClient, type SelfSignedOptions } from './issue/self-signed.js';
export { parseTlsProfile, type TlsProfile, type TlsProfileInput, type TlsVersion } from './tls-profile.js';
