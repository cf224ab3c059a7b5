// SPDX-License-Identifier: Apache-2.0
// What OpenSSL says when it refuses a certificate that we found nothing wrong with, under the rule it stands for. Where
// it says so is link's affair.
import type { X509Certificate } from 'node:crypto';
import { nameCertificate } from '../describe.js';
import type { TlsRole } from '../role.js';
import type { Path } from './paths.js';
import { namesOutside } from './name-constraints.js';
import { makeRefusal, type Refusal, type RefusalRule } from './refusal.js';

export interface OpensslRefusal {
  /** Node's word for it, such as `CERT_HAS_EXPIRED`; `UNSPECIFIED` or empty where it has none. */
  readonly code: string;
  /** OpenSSL's own words. */
  readonly text: string;
}

const byCode: Readonly<Record<string, RefusalRule>> = {
  CERT_SIGNATURE_FAILURE: 'bad-signature',
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet-valid',
  ERROR_IN_CERT_NOT_BEFORE_FIELD: 'unreadable',
  ERROR_IN_CERT_NOT_AFTER_FIELD: 'unreadable',
  UNABLE_TO_DECRYPT_CERT_SIGNATURE: 'bad-signature',
  UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: 'unreadable',
  UNABLE_TO_GET_ISSUER_CERT: 'unknown-issuer',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown-issuer',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknown-issuer',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'unknown-issuer',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknown-issuer',
  INVALID_CA: 'issuer-not-allowed',
  PATH_LENGTH_EXCEEDED: 'issuer-not-allowed',
  CERT_CHAIN_TOO_LONG: 'issuer-not-allowed',
  INVALID_PURPOSE: 'wrong-purpose',
};

/** Node has no code for these. */
const byText: readonly (readonly [RegExp, RefusalRule])[] = [
  [/subtree|name constraint|name syntax/i, 'name-constraint'],
  [/too weak|too small|key type|curve|explicit/i, 'weak'],
  [/unhandled critical/i, 'unknown-critical-extension'],
  [/path length/i, 'issuer-not-allowed'],
  [/inconsistent extension|invalid extension|bad extension/i, 'unreadable'],
];

const ruleOf = ({ code, text }: OpensslRefusal): RefusalRule =>
  byCode[code] ?? byText.find(([pattern]) => pattern.test(text))?.[1] ?? 'refused-by-openssl';

/** The refusal for a path that OpenSSL does not accept. */
export function opensslRefusal(
  verdict: OpensslRefusal,
  path: Path,
  anchors: readonly X509Certificate[],
  role: TlsRole,
  now: Date,
): Refusal {
  const rule = ruleOf(verdict);
  const [leaf] = path;
  const who = leaf === undefined ? 'it' : `the ${role} certificate ${nameCertificate(leaf)}`;
  const names = rule === 'name-constraint' ? namesOutside(path) : '';
  return makeRefusal(
    { rule, text: `OpenSSL refuses ${who}: ${verdict.text}${names}` },
    leaf ?? null,
    anchors,
    now,
  );
}
