// SPDX-License-Identifier: Apache-2.0
// Where our verdict is not the one that x509-limbo expects: for each case the end that was looked at, our verdict, and why.
import type { Result } from './cases.js';

export interface Difference {
  readonly ours: Result;
  readonly reason: string;
}

const bothEnds = (id: string, ours: Result, reason: string): readonly (readonly [string, Difference])[] => [
  [`${id} (server)`, { ours, reason }],
  [`${id} (client)`, { ours, reason }],
];

const issuer = 'a duty of who issues, not of who verifies:';

export const differences: Readonly<Record<string, Difference>> = Object.fromEntries([
  ...bothEnds(
    'webpki::san::san-critical-with-nonempty-subject',
    'accept',
    `${issuer} the name is honoured either way`,
  ),
  ...bothEnds(
    'rfc5280::root-non-critical-basic-constraints',
    'accept',
    `${issuer} the constraint is honoured either way`,
  ),
  ...bothEnds('rfc5280::leaf-ku-keycertsign', 'accept', `${issuer} without cA TRUE it signs for nobody here`),
  ...bothEnds(
    'rfc5280::nc::permitted-dns-match-noncritical',
    'accept',
    'the limit is honoured either way, and the Web PKI profile of the same corpus expects this',
  ),
  ...bothEnds(
    'pathlen::validation-ignores-pathlen-in-leaf',
    'refuse',
    'ours is stricter: a CA certificate stands at no end of a link',
  ),
  ...bothEnds(
    'webpki::eku::ee-without-eku',
    'accept',
    'a rule of the Web PKI: the recipe of upstream sets no usage, and a start warns of it',
  ),
  [
    'webpki::eku::ee-anyeku (server)',
    { ours: 'accept', reason: 'a rule of the Web PKI for issuers: serverAuth is there' },
  ],
  [
    'webpki::v1-cert (client)',
    {
      ours: 'accept',
      reason: 'a client needs no name, and without extensions nothing rules the purpose out',
    },
  ],
]);
