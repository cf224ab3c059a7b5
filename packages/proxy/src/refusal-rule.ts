// SPDX-License-Identifier: Apache-2.0
// Which rule stood against a link, as one word for a metric. Null for what is no refusal: a network can be repaired by
// waiting, a refusal cannot.
import { codeOf } from '@peerpod-tls/base';

const RULES: Readonly<Record<string, string>> = {
  ERR_LINK_TLS_REFUSED: 'refused-by-peer',
  ERR_LINK_WRONG_NAME: 'wrong-name',
  ERR_LINK_NOT_TLS: 'not-tls',
  ERR_LINK_PEER_SPEAKS_TLS: 'peer-speaks-tls',
  ERR_LINK_NO_COMMON_TLS: 'no-common-tls',
};

/** Every word `refusalRule` can give; a metric's label set is closed. */
export const REFUSAL_RULES: readonly string[] = [
  ...Object.values(RULES),
  'no-certificate',
  'unreadable',
  'unknown-issuer',
  'bad-signature',
  'expired',
  'not-yet-valid',
  'wrong-purpose',
  'weak',
  'issuer-not-allowed',
  'unknown-critical-extension',
  'key-identifier',
  'too-many-candidates',
  'is-ca',
  'name-constraint',
  'refused-by-openssl',
];

export function refusalRule(error: unknown): string | null {
  if (typeof error === 'object' && error !== null && 'refusal' in error) {
    const { refusal } = error;
    if (
      typeof refusal === 'object' &&
      refusal !== null &&
      'rule' in refusal &&
      typeof refusal.rule === 'string'
    ) {
      return refusal.rule;
    }
  }
  return RULES[codeOf(error)] ?? null;
}
