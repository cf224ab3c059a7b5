// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/certs.
export { Authority, type AuthorityOptions, type LeafOptions } from './issue/authority.js';
export type { IssuedCertificate } from './issue/certificate.js';
export { describeCertificate, describeMaterial, fingerprintOf, type CertificateSummary } from './describe.js';
export { CertError, type CertErrorCode, type CertErrorDetails } from './errors.js';
export {
  explainRefusal,
  readPeer,
  type PeerReading,
  type Refusal,
  type RefusalOptions,
  type RefusalRule,
} from './verify/peer-path.js';
export type { KeyAlgorithm } from './issue/keys.js';
export { checkMaterial, type MaterialInput, type TlsMaterial } from './verify/material.js';
export type { SubjectName } from './encoding/names.js';
export { certificatesIn, holdsPrivateKey, readPem, type Origin, type PemSource } from './encoding/pem.js';
export type { OpensslRefusal } from './verify/openssl-refusal.js';
export type { TlsRole } from './role.js';
export { selfSignedClient, type SelfSignedOptions } from './issue/self-signed.js';
export { parseTlsProfile, type TlsProfile, type TlsProfileInput, type TlsVersion } from './tls-profile.js';
