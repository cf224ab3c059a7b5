// SPDX-License-Identifier: Apache-2.0
// The failures of deciding with which material a daemon works. What is wrong with a certificate is a CertError.
import { CodedError } from '@peerpod-tls/base';

export type TrustErrorCode =
  | 'ERR_TRUST_OPTIONS'
  | 'ERR_TRUST_IDENTITY'
  | 'ERR_TRUST_IDENTITY_EXPIRED'
  | 'ERR_TRUST_NO_CERTIFICATE'
  | 'ERR_TRUST_NO_CLIENT_ANCHOR'
  | 'ERR_TRUST_CONTRADICTION'
  | 'ERR_TRUST_HALF_PAIR'
  | 'ERR_TRUST_NOT_RELOADED';

export class TrustError extends CodedError<TrustErrorCode> {}
