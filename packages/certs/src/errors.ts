// SPDX-License-Identifier: Apache-2.0
// The one error class of this package and the closed set of its codes. What a peer presents is not an error: that is
// a Refusal, in verify/refusal.ts.
import { CodedError } from '@peerpod-tls/base';

export type CertErrorCode =
  // files
  | 'ERR_CERT_FILE_MISSING'
  | 'ERR_CERT_FILE_UNREADABLE'
  | 'ERR_CERT_FILE_NOT_REGULAR'
  | 'ERR_CERT_FILE_EMPTY'
  | 'ERR_CERT_FILE_TOO_BIG'
  // text in the files
  | 'ERR_CERT_PEM_MALFORMED'
  | 'ERR_CERT_NO_CERTIFICATE'
  | 'ERR_CERT_UNREADABLE'
  | 'ERR_CERT_SEVERAL_CERTIFICATES'
  | 'ERR_CERT_NO_KEY'
  | 'ERR_CERT_SEVERAL_KEYS'
  | 'ERR_CERT_KEY_ENCRYPTED'
  | 'ERR_CERT_KEY_UNREADABLE'
  | 'ERR_CERT_KEY_UNSUPPORTED'
  // material
  | 'ERR_CERT_KEY_MISMATCH'
  | 'ERR_CERT_EXPIRED'
  | 'ERR_CERT_NOT_YET_VALID'
  | 'ERR_CERT_WRONG_PURPOSE'
  | 'ERR_CERT_IS_CA'
  | 'ERR_CERT_NO_NAME'
  | 'ERR_CERT_WEAK'
  | 'ERR_CERT_CHAIN_BROKEN'
  | 'ERR_CERT_LIMIT'
  | 'ERR_CERT_NO_TRUST'
  | 'ERR_CERT_ANCHOR_UNREADABLE'
  | 'ERR_CERT_ANCHORS_EXPIRED'
  | 'ERR_CERT_CHAIN_NOT_ANCHORED'
  // issuing
  | 'ERR_CERT_NOT_A_CA'
  | 'ERR_CERT_NAME_INVALID'
  | 'ERR_CERT_SUBJECT_INVALID'
  | 'ERR_CERT_LIFETIME_INVALID'
  | 'ERR_CERT_CSR_REFUSED'
  // TLS profile
  | 'ERR_CERT_TLS_VERSION'
  | 'ERR_CERT_CIPHER_SUITES';

/** Everything this package throws on purpose. Branch on `code`; `message` says what is wrong and `hint` what to do. */
export class CertError extends CodedError<CertErrorCode> {}
