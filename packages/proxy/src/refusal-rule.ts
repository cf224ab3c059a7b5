// SPDX-License-Identifier: Apache-2.0
// Which rule stood against a link, as one word for a metric. Null for what is no refusal: a network can be repaired by
// waiting, a refusal cannot.
import { codeOf } from '@peerpod-tls/base';
import { REFUSAL_RULES as CERTIFICATE_RULES } from '@peerpod-tls/certs';

const RULES: Readonly<Record<string, string>> = {
  ERR_LINK_TLS_REFUSED: 'refused-by-peer',
  ERR_LINK_WRONG_NAME: 'wrong-name',
  ERR_LINK_NOT_TLS: 'not-tls',
  ERR_LINK_PEER_SPEAKS_TLS: 'peer-speaks-tls',
  ERR_LINK_NO_COMMON_TLS: 'no-common-tls',
};

/** Every word `refusalRule` can give; a metric's label set is closed. */
export const REFUSAL_RULES: readonly string[] = [...new Set([...Object.values(RULES), ...CERTIFICATE_RULES])];

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
