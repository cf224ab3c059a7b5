// SPDX-License-Identifier: Apache-2.0
// What OpenSSL says when it refuses a certificate. Where it says so is link's affair.

export interface OpensslRefusal {
  /** Node's word for it, such as `CERT_HAS_EXPIRED`; `UNSPECIFIED` or empty where it has none. */
  readonly code: string;
  /** OpenSSL's own words. */
  readonly text: string;
}
