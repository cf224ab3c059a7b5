// SPDX-License-Identifier: Apache-2.0
// Where our verdict is not the one that x509-limbo expects: for each case the end that was looked at, our verdict, and why.
import type { Result } from './shapes.js';

export interface Difference {
  readonly ours: Result;
  readonly reason: string;
}

const bothEnds = (id: string, ours: Result, reason: string): readonly (readonly [string, Difference])[] => [
  [`${id} (server)`, { ours, reason }],
  [`${id} (client)`, { ours, reason }],
];

const each = (
  ids: readonly string[],
  ends: readonly ('server' | 'client')[],
  reason: string,
): readonly (readonly [string, Difference])[] =>
  ids.flatMap(id => ends.map(end => [`${id} (${end})`, { ours: 'accept', reason }] as const));

const issuer = 'a duty of who issues, not of who verifies:';
const both = ['server', 'client'] as const;

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
    'rfc5280::ca-as-leaf',
    'refuse',
    'ours is stricter: a CA certificate stands at no end of a link',
  ),
  ...each(
    [
      'rfc5280::aki::leaf-missing-aki',
      'rfc5280::aki::intermediate-missing-aki',
      'rfc5280::aki::cross-signed-root-missing-aki',
      'rfc5280::ski::root-missing-ski',
      'rfc5280::ski::intermediate-missing-ski',
    ],
    both,
    `${issuer} an identifier only helps to find an issuer; the signature says who it was`,
  ),
  ...each(
    [
      'webpki::aki::root-with-aki-missing-keyidentifier',
      'webpki::aki::root-with-aki-authoritycertissuer',
      'webpki::aki::root-with-aki-authoritycertserialnumber',
      'webpki::aki::root-with-aki-all-fields',
      'webpki::aki::root-with-aki-ski-mismatch',
    ],
    both,
    'an anchor is trusted as it stands: what it says of its own issuer is not read',
  ),
  ...each(
    [
      'rfc5280::serial::serial-number-too-long',
      'rfc5280::serial::serial-number-zero',
      'rfc5280::serial::serial-number-negative',
    ],
    both,
    `${issuer} nothing here goes by serial numbers`,
  ),
  ...each(
    ['rfc5280::san::noncritical-with-empty-subject'],
    both,
    `${issuer} the name is honoured either way`,
  ),
  ...each(
    ['rfc5280::ca-empty-subject'],
    both,
    `${issuer} an empty name is compared like any other, and the signature has to hold`,
  ),
  ...each(
    ['rfc5280::pc::ica-noncritical-pc'],
    both,
    `${issuer} no policy is asked for, so none can be missing`,
  ),
  ...each(
    ['rfc5280::nc::invalid-dnsname-leading-period'],
    both,
    'as OpenSSL and Go have it: everything below the domain, which is no more than without the period',
  ),
  ...each(
    ['rfc5280::nc::nc-permits-invalid-dns-san'],
    both,
    'what begins with a period is no name that anybody can dial',
  ),
  ...each(['rfc5280::nc::nc-permits-invalid-email-san'], ['client'], 'nothing here goes by mail addresses'),
  ...each(
    ['rfc5280::nc::not-allowed-in-ee-noncritical', 'rfc5280::nc::not-allowed-in-ee-critical'],
    both,
    `${issuer} a leaf certifies nobody, so its limits limit nothing`,
  ),
  ...each(
    [
      'webpki::nc::intermediate-permitted-excluded-subtrees-both-null',
      'webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences',
    ],
    both,
    'a rule of the Web PKI for issuers: limits that name nothing limit nothing',
  ),
  ...each(
    [
      'webpki::cn::cabf-cn-ipv4-hex-mismatch',
      'webpki::cn::cabf-cn-ipv4-leading-zeros-mismatch',
      'webpki::cn::cabf-cn-ipv6-uppercase-mismatch',
      'webpki::cn::cabf-cn-ipv6-uncompressed-mismatch',
      'webpki::cn::cabf-cn-ipv6-non-rfc5952-mismatch',
      'webpki::cn::cabf-cn-punycode-not-in-san',
      'webpki::cn::cabf-cn-utf8-vs-punycode-mismatch',
      'webpki::cn::cabf-cn-not-in-san',
      'webpki::cn::cabf-cn-case-mismatch',
    ],
    ['server'],
    'a rule of the Web PKI for issuers: the common name is never looked at',
  ),
  ...each(
    [
      'webpki::eku::ee-critical-eku',
      'webpki::eku::root-has-eku',
      'webpki::eku::ee-precertificate-with-serverauth',
      'webpki::eku::ee-codesigning-with-serverauth',
      'webpki::eku::ee-emailprotection-with-serverauth',
      'webpki::eku::ee-timestamping-with-serverauth',
      'webpki::eku::ee-ocspsigning-with-serverauth',
    ],
    ['server'],
    'a rule of the Web PKI for issuers: serverAuth is there',
  ),
  ...each(
    [
      'webpki::forbidden-rsa-not-divisable-by-8-in-root',
      'webpki::forbidden-rsa-key-not-divisable-by-8-in-leaf',
    ],
    both,
    'a rule of the Web PKI for issuers: such a key is long enough',
  ),
  ...each(['webpki::malformed-aia'], both, 'nothing is fetched, so the extension is not read'),
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
