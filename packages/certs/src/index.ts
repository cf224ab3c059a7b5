// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/certs.
export { Authority, type AuthorityOptions, type LeafOptions } from './authority.js';
export type { IssuedCertificate } from './certificate.js';
export { describeCertificate, describeMaterial, fingerprintOf, type CertificateSummary } from './describe.js';
export { CertError, type CertErrorCode, type CertErrorDetails } from './errors.js';
export {
  explainRefusal,
  readPeer,
  type PeerReading,
  type Refusal,
  type RefusalOptions,
  type RefusalRule,
} from './explain.js';
export type { KeyAlgorithm } from './keys.js';
export { checkMaterial, type MaterialInput, type TlsMaterial, type TlsRole } from './material.js';
export type { SubjectName } from './names.js';
export { certificatesIn, holdsPrivateKey, readPem, type Origin, type PemSource } from './pem.js';
export type { LeafProfile } from './profiles.js';
export { selfSignedClient, type SelfSignedOptions } from './self-signed.js';
export { parseTlsProfile, type TlsProfile, type TlsProfileInput, type TlsVersion } from './tls-profile.js';
