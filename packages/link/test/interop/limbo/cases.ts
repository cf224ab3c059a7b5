// SPDX-License-Identifier: Apache-2.0
// Chains of certificates after the case ids of C2SP's x509-limbo, with the result it expects. The shapes are described
// afresh here and made at run time. Left out: its families crl, online, bettertls, smime and rfc9881, and single cases of the
// others. Those of name constraints and of issuers' duties have files of their own. Nothing is signed or connected in this file.
import {
  ANY_PURPOSE,
  CLIENT_AUTH,
  SERVER_AUTH,
  ext,
  extension,
  rsaKey,
  seq,
  tlv,
  utcTime,
} from '../../support/forge.js';
import { dutyCases } from './cases-duties.js';
import { limitCases } from './cases-limits.js';
import {
  good,
  bad,
  dns,
  ip,
  dn,
  san,
  host,
  only,
  limits,
  ca,
  to,
  permits,
  excludes,
  odd,
  aia,
  root,
  caOf,
  SIGNS,
  one,
  mask,
  named,
} from './shapes.js';
import type { Case } from './shapes.js';

export const cases: readonly Case[] = [
  ...limitCases,
  ...dutyCases,
  good('webpki::san::exact-dns-san', [root]),
  bad('webpki::san::mismatch-domain-san', [root], named('example2.com', 'example.com')),
  bad('webpki::san::mismatch-subdomain-san', [root], named('def.example.com', 'abc.example.com')),
  bad('webpki::san::mismatch-subdomain-apex-san', [root], named('abc.example.com', 'example.com')),
  bad('webpki::san::mismatch-apex-subdomain-san', [root], named('example.com', 'abc.example.com')),
  bad('webpki::san::public-suffix-wildcard-san', [root], named('example.com', '*.com')),
  good('webpki::san::leftmost-wildcard-san', [root], named('foo.example.com', '*.example.com')),
  bad('webpki::san::wildcard-embedded-leftmost-san', [root], named('baz.example.com', 'ba*.example.com')),
  bad('webpki::san::wildcard-not-in-leftmost-san', [root], named('foo.bar.example.com', 'foo.*.example.com')),
  bad('webpki::san::wildcard-match-across-labels-san', [root], named('foo.bar.example.com', '*.example.com')),
  bad(
    'webpki::san::wildcard-embedded-ulabel-san',
    [root],
    named('xn--bliss-1b3c148a.example.com', 'xn--*-1b3c148a.example.com'),
  ),
  bad('webpki::san::unicode-emoji-san', [root], named('xn--628h.example.com', '😜.example.com')),
  bad('webpki::san::no-san', [root], { leaf: [ext.notCa()], shape: { cn: 'example.com' }, end: 'server' }),
  bad('webpki::san::san-critical-with-nonempty-subject', [root], {
    leaf: [ext.notCa(), extension('2.5.29.17', seq(dns('example.com')), true)],
  }),
  bad('rfc5280::unknown-critical-extension-ee', [root], { leaf: [...host(), odd(true)] }),
  bad('rfc5280::unknown-critical-extension-root', [ca(odd(true))]),
  bad('rfc5280::unknown-critical-extension-intermediate', [root, ca(odd(true))]),
  bad('rfc5280::chain-untrusted-root', [root, to(0)], { odd: 'unrelated-root' }),
  bad('rfc5280::intermediate-ca-without-ca-bit', [root, caOf(ext.notCa())]),
  bad('rfc5280::intermediate-ca-missing-basic-constraints', [root, caOf(SIGNS)], {
    odd: 'intermediates-missing',
  }),
  bad('rfc5280::root-missing-basic-constraints', [caOf(SIGNS)]),
  bad('rfc5280::root-non-critical-basic-constraints', [
    caOf(extension('2.5.29.19', seq(tlv(1, Buffer.of(255))))),
  ]),
  bad('rfc5280::root-inconsistent-ca-extensions', [ca(ext.usage(0x80, 7))]),
  bad('rfc5280::ica-ku-keycertsign', [root, caOf(ext.ca(0), ext.usage(0x80, 7))]),
  bad('rfc5280::leaf-ku-keycertsign', [root], { leaf: [...host(), ext.usage(0x84, 2)] }),
  good('rfc5280::ee-aia', [root], { leaf: [...host(), aia(false)] }),
  bad('rfc5280::ee-critical-aia-invalid', [root], { leaf: [...host(), aia(true)] }),
  bad('rfc5280::duplicate-extensions', [root], { leaf: [...host(), san(dns('example.com'))] }),
  good('rfc5280::no-keyusage', [root]),
  good('rfc5280::no-basicconstraints', [root], { leaf: [san(dns('example.com'))] }),
  bad('rfc5280::nc::permitted-dns-mismatch', [permits(dns('example.com'))], {
    leaf: host('not-example.com'),
    name: 'not-example.com',
  }),
  bad('rfc5280::nc::excluded-dns-match', [root, excludes(dns('example.com'))]),
  good('rfc5280::nc::permitted-dns-match', [permits(dns('example.com'))]),
  bad('rfc5280::nc::permitted-dns-match-noncritical', [ca(limits([dns('example.com')], [], false))]),
  good('webpki::nc::permitted-dns-match-noncritical', [ca(limits([dns('example.com')], [], false))]),
  good('rfc5280::nc::permitted-dns-match-more', [permits(dns('example.com'))], {
    leaf: host('foo.bar.example.com'),
    name: 'foo.bar.example.com',
  }),
  bad('rfc5280::nc::excluded-dns-match-second', [excludes(dns('not-allowed.example.com'))], {
    leaf: host('example.com', 'not-allowed.example.com'),
  }),
  bad('rfc5280::nc::permitted-ip-mismatch', [permits(ip(192, 0, 2, 0, 255, 255, 255, 0))], {
    leaf: only(ip(192, 0, 3, 1)),
    name: '192.0.3.1',
  }),
  bad('rfc5280::nc::excluded-ipv4-match', [excludes(ip(192, 0, 2, 0, 255, 255, 255, 0))], {
    leaf: only(ip(192, 0, 2, 1)),
    name: '192.0.2.1',
  }),
  bad('rfc5280::nc::excluded-ipv6-match', [excludes(ip(...one, ...mask))], {
    leaf: only(ip(...one)),
    name: '::1',
  }),
  good('rfc5280::nc::permitted-ipv4-match', [permits(ip(192, 0, 2, 0, 255, 255, 255, 0))], {
    leaf: only(ip(192, 0, 2, 1)),
    name: '192.0.2.1',
  }),
  good('rfc5280::nc::permitted-ipv6-match', [permits(ip(...one, ...mask))], {
    leaf: only(ip(...one)),
    name: '::1',
  }),
  bad('rfc5280::nc::permitted-dn-mismatch', [permits(dn('foo'))], {
    leaf: only(dn('not-foo'), dns('example.com')),
    shape: { cn: 'not-foo' },
  }),
  bad('rfc5280::nc::excluded-dn-match', [excludes(dn('foo'))], {
    leaf: only(dn('foo'), dns('example.com')),
    shape: { cn: 'foo' },
  }),
  good('rfc5280::nc::permitted-dn-match', [permits(dn('foo'))], {
    leaf: only(dn('foo'), dns('example.com')),
    shape: { cn: 'foo' },
  }),
  bad('rfc5280::nc::permitted-dn-match-subject-san-mismatch', [permits(dn('foo'))], {
    leaf: only(dn('foo'), dns('example.com')),
    shape: { cn: 'not-foo' },
  }),
  bad('rfc5280::nc::excluded-dn-match-sub-mismatch', [excludes(dn('foo'))], {
    leaf: only(dn('not-foo'), dns('example.com')),
    shape: { cn: 'foo' },
  }),
  bad('rfc5280::nc::excluded-match-permitted-and-excluded', [
    ca(limits([dns('example.com')], [dns('example.com')])),
  ]),
  good('pathlen::ee-with-intermediate-pathlen-0', [root, to(0)]),
  good('pathlen::ee-with-intermediate-pathlen-1', [root, to(1)]),
  good('pathlen::ee-with-intermediate-pathlen-2', [root, to(2)]),
  good('pathlen::validation-ignores-pathlen-in-leaf', [root, to(0)], {
    leaf: [ext.ca(0), san(dns('example.com'))],
  }),
  bad('pathlen::intermediate-violates-pathlen-0', [root, to(0), to(0)]),
  good('pathlen::intermediate-pathlen-may-increase', [root, to(1), to(2)]),
  bad('pathlen::intermediate-pathlen-too-long', [root, to(1), to(0), to(0)]),
  // With key identifiers, as the corpus has them: without, OpenSSL takes the second of one name for a root.
  good('pathlen::self-issued-certs-pathlen', [
    root,
    { cn: 'twice', extensions: [ext.ca(1), ext.subjectKey('first')] },
    { cn: 'twice', extensions: [ext.ca(1), ext.subjectKey('second'), ext.issuerKey('first')] },
    { extensions: [ext.ca(0), ext.issuerKey('second')] },
  ]),
  bad('rfc5280::validity::expired-root', [{ ...root, notAfter: utcTime('210101000000Z') }]),
  bad('rfc5280::validity::expired-intermediate', [root, { ...root, notAfter: utcTime('210101000000Z') }]),
  bad('rfc5280::validity::expired-leaf', [root], { shape: { notAfter: utcTime('210101000000Z') } }),
  bad('webpki::eku::ee-without-eku', [root], { bare: true }),
  good('rfc5280::eku::ee-without-eku', [root], { bare: true }),
  bad('webpki::v1-cert', [root], { bare: true, leaf: [], shape: { version: 1 } }),
  bad('webpki::forbidden-weak-rsa-in-leaf', [root], { shape: { key: rsaKey(1024) } }),
  bad('webpki::eku::ee-anyeku', [root], {
    bare: true,
    leaf: [...host(), ext.purposes(SERVER_AUTH, ANY_PURPOSE)],
    end: 'server',
  }),
  bad('rfc5280::nc::invalid-ipv4-address', [permits(ip(127, 0, 0, 1))], {
    leaf: only(ip(127, 0, 0, 1)),
    name: '127.0.0.1',
  }),
  bad('rfc5280::nc::invalid-ipv6-address', [permits(ip(...one))], { leaf: only(ip(...one)), name: '::1' }),
  good('rfc5280::nc::permitted-different-constraint-type', [permits(ip(192, 0, 2, 0, 255, 255, 255, 0))]),
  good('rfc5280::nc::excluded-different-constraint-type', [excludes(ip(192, 0, 2, 0, 255, 255, 255, 0))]),
  bad('rfc5280::eku::ee-wrong-eku', [root], {
    bare: true,
    leaf: [...host(), ext.purposes(CLIENT_AUTH)],
    end: 'server',
  }),
];
