// SPDX-License-Identifier: Apache-2.0
// The corpus' cases of name constraints beyond the plain ones, of chains that lead in circles, and of known faults of
// others. Nothing is signed or connected before a case is built.
import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { ext, extension, forge, forgeCa, oid, schemes, seq, tlv, utcTime } from '../../support/forge.js';
import type { Forged } from '../../support/forge.js';
import { bad, ca, caOf, dns, good, host, ip, limits, named, only, permits, root, san } from './shapes.js';
import type { Case, Chain, More } from './shapes.js';

const mail = (text: string): Buffer => tlv(0x81, Buffer.from(text));
const other = tlv(0xa0, oid('1.3.6.1.4.1.55738.666.3'), tlv(0xa0, tlv(5)));
const key = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const mails = (...names: string[]): More => ({ leaf: only(...names.map(mail)), end: 'client' });
const at = (name: string): More => ({ leaf: host(name), name });
const both = limits([dns('permitted.example.com')], [dns('forbidden.example.com')]);
const forbidden = san(dns('forbidden.example.com'));

/** A leaf under `by`, presented with `between`. */
function under(by: Forged, name: string, purpose: readonly Buffer[], between: readonly Forged[]) {
  const leaf = forge({ cn: 'leaf', by, extensions: [...host(name), ...purpose] });
  return { leaf, presented: [leaf, ...between] };
}

/** One CA certified twice, by a CA that forbids its name and by one that does not. */
function twoWays(trusted: 'one' | 'both') {
  return (purpose: readonly Buffer[]): Chain => {
    const [a, b] = [forgeCa('root a'), forgeCa('root b')];
    const limiting = forge({ cn: 'limiting', by: a, extensions: [ext.ca(), both] });
    const twice = key();
    const named = { cn: 'twice', key: twice, extensions: [ext.ca(), forbidden] };
    const free = { cn: 'twice', key: twice, extensions: [ext.ca()] };
    const [bad, good] =
      trusted === 'one'
        ? [forge({ ...named, by: b }), forge({ ...free, by: limiting })]
        : [forge({ ...named, by: limiting }), forge({ ...free, by: b })];
    const anchors = trusted === 'one' ? [a] : [a, b];
    return { ...under(bad, 'permitted.example.com', purpose, [limiting, bad, good]), anchors };
  };
}

function circle(first: string, second: string) {
  return (purpose: readonly Buffer[]): Chain => {
    const [k1, k2] = [key(), key()];
    const made = (own: string, its: string) => [ext.ca(), ext.subjectKey(own), ext.issuerKey(its)];
    const one = forge({
      cn: first,
      key: k1,
      by: { cn: second, key: k2 },
      extensions: made('one', 'two'),
    });
    const two = forge({
      cn: second,
      key: k2,
      by: { cn: first, key: k1 },
      extensions: made('two', 'one'),
    });
    return { ...under(one, 'example.com', purpose, [one, two]), anchors: [forgeCa('root')] };
  };
}

/** Three CAs that certify each other, one of which is also a root; two more CAs have no part in the way. */
function crossSigned(purpose: readonly Buffer[]): Chain {
  const names = ['a', 'b', 'c'] as const;
  const keys = { a: key(), b: key(), c: key() };
  const extensions = [ext.ca()];
  const anchor = forge({ cn: 'a', key: keys.a, extensions });
  const cross = names.flatMap(cn =>
    names
      .filter(by => by !== cn)
      .map(by => forge({ cn, key: keys[cn], by: { cn: by, key: keys[by] }, extensions })),
  );
  const below = names.map(cn => forge({ cn: `${cn}1`, by: { cn, key: keys[cn] }, extensions }));
  const [a1] = below;
  if (a1 === undefined) throw new Error('no CA below the first');
  const name = extension('2.5.29.17', seq(dns('cve-2024-0567.example.com')), true);
  const leaf = forge({ cn: 'leaf', subject: seq(), by: a1, extensions: [ext.notCa(), name, ...purpose] });
  return { leaf, presented: [leaf, ...below, ...cross], anchors: [anchor] };
}

function expiredCross(purpose: readonly Buffer[]): Chain {
  const [trusted, second] = [forgeCa('root'), forgeCa('root two')];
  const expired = forge({
    cn: 'root',
    key: trusted.key,
    by: second,
    notBefore: utcTime('700101000000Z'),
    notAfter: utcTime('881125000000Z'),
    extensions: [ext.ca(1)],
  });
  return { ...under(trusted, 'example.com', purpose, [expired]), anchors: [trusted, second] };
}

function brokenIssuerKey(purpose: readonly Buffer[]): Chain {
  const spki = seq(seq(oid('1.2.840.113549.1.1.1'), tlv(5)), tlv(3, Buffer.of(0)));
  const between = forge({ cn: 'broken', by: forgeCa('another root'), spki, extensions: [ext.ca()] });
  const scheme = { ...schemes.rsa, sign: () => Buffer.of(0x30, 0) };
  const leaf = forge({ cn: 'leaf', by: between, scheme, extensions: [...host(), ...purpose] });
  return { leaf, presented: [leaf, between], anchors: [forgeCa('root')] };
}

export const limitCases: readonly Case[] = [
  // With key identifiers, as the corpus has them: without, OpenSSL takes the second of one name for a root.
  good(
    'rfc5280::nc::permitted-self-issued',
    [
      {
        cn: 'not-example.com',
        extensions: [
          ext.ca(),
          ext.subjectKey('first'),
          san(dns('not-example.com')),
          limits([dns('example.com')], []),
        ],
      },
      {
        cn: 'not-example.com',
        extensions: [ext.ca(), ext.subjectKey('second'), ext.issuerKey('first'), san(dns('not-example.com'))],
      },
    ],
    { leaf: [...host(), ext.issuerKey('second')] },
  ),
  bad(
    'rfc5280::nc::excluded-self-issued-leaf',
    [
      permits(dns('example.com')),
      { cn: 'not-example.com', extensions: [ext.ca(), san(dns('not-example.com'))] },
    ],
    { ...at('not-example.com'), shape: { cn: 'not-example.com' } },
  ),
  bad('rfc5280::nc::invalid-dnsname-wildcard', [permits(dns('*.example.com'))], at('foo.example.com')),
  bad('rfc5280::nc::invalid-dnsname-leading-period', [permits(dns('.example.com'))], at('foo.example.com')),
  bad(
    'rfc5280::nc::invalid-email-address',
    [permits(mail('invalid@invalid@example.com'))],
    mails('example@example.com'),
  ),
  bad('rfc5280::nc::not-allowed-in-ee-noncritical', [root], {
    leaf: [...host(), limits([dns('example.com')], [], false)],
  }),
  bad('rfc5280::nc::not-allowed-in-ee-critical', [root], {
    leaf: [...host(), limits([dns('example.com')], [])],
  }),
  bad(
    'rfc5280::nc::intermediate-with-san-rejected-by-intermediate-nc',
    [root, ca(both), ca(forbidden)],
    at('permitted.example.com'),
  ),
  bad(
    'rfc5280::nc::intermediate-with-san-rejected-by-root-nc',
    [ca(both), root, ca(forbidden)],
    at('permitted.example.com'),
  ),
  bad(
    'rfc5280::nc::restrictive-permits-in-intermediates-narrows',
    [root, permits(dns('foo.example.com'), dns('bar.example.com')), permits(dns('bar.example.com'))],
    at('foo.example.com'),
  ),
  bad(
    'rfc5280::nc::restrictive-permits-in-intermediates-widens',
    [root, permits(dns('bar.example.com')), permits(dns('foo.example.com'), dns('bar.example.com'))],
    at('foo.example.com'),
  ),
  bad('rfc5280::nc::nc-permits-invalid-dns-san', [root, permits(dns('example.com'))], {
    leaf: host('.example.com', 'foo.example.com'),
    name: 'foo.example.com',
  }),
  bad('rfc5280::nc::nc-permits-invalid-ip-san', [root, permits(ip(192, 0, 2, 0, 255, 255, 255, 0))], {
    leaf: only(ip(192, 0, 2, 0, 255, 255, 255, 0), ip(192, 0, 2, 1)),
    name: '192.0.2.1',
  }),
  bad(
    'rfc5280::nc::nc-permits-invalid-email-san',
    [root, permits(mail('example.com'))],
    mails('good@example.com', 'alsogood@example.com', 'invalid@address@example.com'),
  ),
  good('rfc5280::nc::nc-forbids-alternate-chain-ica', [], {
    graph: twoWays('one'),
    name: 'permitted.example.com',
  }),
  good('rfc5280::nc::nc-forbids-same-chain-ica', [], {
    graph: twoWays('both'),
    name: 'permitted.example.com',
  }),
  good(
    'rfc5280::nc::nc-permits-email-exact',
    [root, permits(mail('foo@example.com'))],
    mails('foo@example.com'),
  ),
  good(
    'rfc5280::nc::nc-permits-email-domain',
    [root, permits(mail('example.com'))],
    mails('foo@example.com'),
  ),
  bad('rfc5280::nc::nc-forbids-othername', [root, ca(limits([dns('example.com')], [other]))], {
    leaf: only(dns('example.com'), other),
  }),
  good('rfc5280::nc::nc-forbids-othername-noop', [root, ca(limits([dns('example.com')], [other]))]),
  bad('webpki::nc::intermediate-permitted-excluded-subtrees-both-null', [root, ca(limits([], []))]),
  bad('webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences', [
    root,
    caOf(ext.ca(), extension('2.5.29.30', seq(tlv(0xa0), tlv(0xa1)), true)),
  ]),
  bad('cve::cve-2025-61727', [root, ca(limits([dns('example.com')], [dns('bar.example.com')]))], {
    leaf: host('*.example.com'),
    name: 'bar.example.com',
  }),
  bad(
    'cve::cve-2025-61727-nc-permits-variant',
    [root, permits(dns('foo.example.com'))],
    named('foo.example.com', '*.example.com'),
  ),
  good('cve::cve-2024-0567', [], { graph: crossSigned, name: 'cve-2024-0567.example.com' }),
  good('pathological::multiple-chains-expired-intermediate', [], { graph: expiredCross }),
  bad('pathological::intermediate-cycle-distinct-cas', [], { graph: circle('first', 'second') }),
  bad('pathological::intermediate-cycle-distinct-cas-max-depth', [], { graph: circle('first', 'second') }),
  bad('pathological::intermediate-cycle-same-logical-ca', [], { graph: circle('same', 'same') }),
  bad('invalid::invalid-issuer-key', [], { graph: brokenIssuerKey }),
];
