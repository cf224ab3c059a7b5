// SPDX-License-Identifier: Apache-2.0
// The corpus' cases of what an issuer must put into a certificate or keep out of it: key identifiers, serial numbers, common
// names, purposes, keys. Nothing is signed or connected before a case is built.
import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import {
  CLIENT_AUTH,
  SERVER_AUTH,
  ext,
  extension,
  forge,
  forgeCa,
  rsaKey,
  schemes,
  seq,
  tlv,
} from '../../support/forge.js';
import { bad, ca, dn, dns, good, host, ip, only, root, san } from './shapes.js';
import type { Case, Chain, More } from './shapes.js';

const id = (text: string): Buffer => tlv(0x80, Buffer.from(text));
const issuerKey = (...parts: Buffer[]): Buffer => extension('2.5.29.35', seq(...parts));
const serial = tlv(0x82, Buffer.of(4, 0xd2));
const issuer = tlv(0xa1, dn('myCN'));
const keyed = ca(ext.subjectKey('root'));
const knows = (...more: Buffer[]): More => ({ leaf: [...host(), ...more] });
const ids = (own: string, its: string): Buffer[] => [ext.subjectKey(own), ext.issuerKey(its)];
const uses = (...purposes: string[]): More => ({
  bare: true,
  leaf: [...host(), ext.purposes(...purposes)],
  end: 'server',
});
const common = (cn: string, name: string, ...names: Buffer[]): More => ({
  leaf: only(...names),
  shape: { cn },
  name,
  end: 'server',
});
const address = (cn: string, name: string, ...bytes: number[]): More => common(cn, name, ip(...bytes));
const asCa = (name: string): More => ({
  leaf: [ext.ca(), ext.usage(0x04, 2), san(dns('ca.example.com'))],
  bare: true,
  name,
});
const PRECERTIFICATE = '1.3.6.1.4.1.11129.2.4.4';
const CODE = '1.3.6.1.5.5.7.3.3';
const MAIL = '1.3.6.1.5.5.7.3.4';
const TIME = '1.3.6.1.5.5.7.3.8';
const OCSP = '1.3.6.1.5.5.7.3.9';
const p192 = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'prime192v1' }).privateKey;
// As long as this takes, the length is not what the cases are about.
const dsa = generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }).privateKey;
const dsaSha256 = { ...schemes.ecdsa, algorithm: seq(tlv(6, Buffer.from('608648016503040302', 'hex'))) };

function crossSignedRoot(purpose: readonly Buffer[]): Chain {
  const above = forgeCa('above', { extensions: [ext.ca(), ext.subjectKey('above')] });
  const anchor = forge({ cn: 'root', by: above, extensions: [ext.ca(0), ext.subjectKey('root')] });
  const leaf = forge({ cn: 'leaf', by: anchor, extensions: [...host(), ext.issuerKey('root'), ...purpose] });
  return { leaf, presented: [leaf], anchors: [anchor] };
}

function swapped(purpose: readonly Buffer[]): Chain {
  const above = forgeCa('root');
  const anchor = forge({ cn: 'between', by: above, extensions: [ext.ca()] });
  const leaf = forge({ cn: 'leaf', by: anchor, extensions: [...host(), ...purpose] });
  return { leaf, presented: [leaf, above], anchors: [anchor] };
}

function negativeSerial(purpose: readonly Buffer[]): Chain {
  const leaf = forge({ cn: 'leaf', serial: Buffer.of(0xbf, 1), extensions: [...host(), ...purpose] });
  return { leaf, presented: [leaf], anchors: [leaf] };
}

export const dutyCases: readonly Case[] = [
  bad('rfc5280::aki::critical-aki', [
    ca(ext.subjectKey('root'), extension('2.5.29.35', seq(id('root')), true)),
  ]),
  bad('rfc5280::aki::leaf-missing-aki', [keyed]),
  bad(
    'rfc5280::aki::intermediate-missing-aki',
    [keyed, { extensions: [ext.ca(0), ext.subjectKey('below')] }],
    knows(ext.issuerKey('below')),
  ),
  good('rfc5280::aki::self-signed-root-missing-aki', [keyed], knows(ext.issuerKey('root'))),
  bad('rfc5280::aki::cross-signed-root-missing-aki', [], { graph: crossSignedRoot }),
  bad(
    'rfc5280::ski::critical-ski',
    [ca(extension('2.5.29.14', tlv(4, Buffer.from('root')), true))],
    knows(ext.issuerKey('root')),
  ),
  bad('rfc5280::ski::root-missing-ski', [root], knows(ext.issuerKey('root'))),
  bad(
    'rfc5280::ski::intermediate-missing-ski',
    [keyed, ca(ext.issuerKey('root'))],
    knows(ext.issuerKey('below')),
  ),
  bad('rfc5280::san::malformed', [root], {
    leaf: [ext.notCa(), extension('2.5.29.17', Buffer.from('example.com'))],
  }),
  bad('rfc5280::san::noncritical-with-empty-subject', [root], { shape: { subject: seq() } }),
  bad('rfc5280::serial::serial-number-too-long', [root], { shape: { serial: Buffer.alloc(22, 0x41) } }),
  bad('rfc5280::serial::serial-number-zero', [root], { shape: { serial: Buffer.of(0) } }),
  bad('rfc5280::serial::serial-number-negative', [], { graph: negativeSerial }),
  bad('rfc5280::pc::ica-noncritical-pc', [root, ca(extension('2.5.29.36', seq(tlv(0x80, Buffer.of(3)))))]),
  bad('rfc5280::ee-empty-issuer', [root], { shape: { issuer: seq() } }),
  bad('rfc5280::ca-empty-subject', [{ ...root, subject: seq(), issuer: seq() }], {
    shape: { issuer: seq() },
  }),
  bad('rfc5280::mismatching-signature-algorithm', [{ ...root, algorithm: schemes.ecdsaSha224.algorithm }]),
  good('rfc5280::ca-as-leaf', [root], asCa('ca.example.com')),
  bad('webpki::ca-as-leaf', [root], asCa('ca.example.com')),
  bad('rfc5280::ca-as-leaf-wrong-san', [root], asCa('some-other-ca.example.com')),
  good('rfc5280::root-and-intermediate-swapped', [], { graph: swapped }),
  bad('webpki::ee-basicconstraints-ca', [root], {
    leaf: [ext.ca(), ext.usage(0x80, 7), san(dns('example.com'))],
  }),
  bad('webpki::aki::root-with-aki-missing-keyidentifier', [ca(ext.subjectKey('root'), issuerKey())]),
  bad('webpki::aki::root-with-aki-authoritycertissuer', [
    ca(ext.subjectKey('root'), issuerKey(id('root'), issuer)),
  ]),
  bad('webpki::aki::root-with-aki-authoritycertserialnumber', [
    ca(ext.subjectKey('root'), issuerKey(id('root'), serial)),
  ]),
  bad('webpki::aki::root-with-aki-all-fields', [
    ca(ext.subjectKey('root'), issuerKey(id('root'), issuer, serial)),
  ]),
  bad('webpki::aki::root-with-aki-ski-mismatch', [ca(...ids('root', 'another'))]),
  bad('webpki::cn::cabf-cn-ipv4-hex-mismatch', [root], address('0xC0A80101', '192.168.1.1', 192, 168, 1, 1)),
  bad(
    'webpki::cn::cabf-cn-ipv4-leading-zeros-mismatch',
    [root],
    address('192.168.001.001', '192.168.1.1', 192, 168, 1, 1),
  ),
  bad(
    'webpki::cn::cabf-cn-ipv6-uppercase-mismatch',
    [root],
    address(
      '2001:DB8::8A2E:370:7334',
      '2001:db8::8a2e:370:7334',
      0x20,
      1,
      0xd,
      0xb8,
      0,
      0,
      0,
      0,
      0,
      0,
      0x8a,
      0x2e,
      3,
      0x70,
      0x73,
      0x34,
    ),
  ),
  bad(
    'webpki::cn::cabf-cn-ipv6-uncompressed-mismatch',
    [root],
    address(
      '2001:0db8:0000:0000:0000:0000:0000:0001',
      '2001:db8::1',
      0x20,
      1,
      0xd,
      0xb8,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      1,
    ),
  ),
  bad(
    'webpki::cn::cabf-cn-ipv6-non-rfc5952-mismatch',
    [root],
    address(
      '2001:db8:0:0:1:0:0:1',
      '2001:db8::1:0:0:1',
      0x20,
      1,
      0xd,
      0xb8,
      0,
      0,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0,
      1,
    ),
  ),
  bad(
    'webpki::cn::cabf-cn-punycode-not-in-san',
    [root],
    common('xn--nxasmq6b.com', 'xn--n3h.com', dns('xn--n3h.com')),
  ),
  bad(
    'webpki::cn::cabf-cn-utf8-vs-punycode-mismatch',
    [root],
    common('test-測試.com', 'xn--test--wg5h0h.com', dns('xn--test--wg5h0h.com')),
  ),
  bad(
    'webpki::cn::cabf-cn-not-in-san',
    [root],
    common('notinsan.example.com', 'valid.example.com', dns('valid.example.com'), dns('another.example.com')),
  ),
  bad('webpki::cn::cabf-cn-case-mismatch', [root], common('Example.COM', 'example.com', dns('example.com'))),
  bad('webpki::ku::ee-rsa-without-any-usages', [root], {
    leaf: [...host(), extension('2.5.29.15', tlv(3, Buffer.of(0)), true)],
    shape: { key: rsaKey() },
  }),
  bad('webpki::eku::ee-critical-eku', [root], {
    bare: true,
    leaf: [...host(), extension('2.5.29.37', seq(tlv(6, Buffer.from('2b06010505070301', 'hex'))), true)],
    end: 'server',
  }),
  bad('webpki::eku::root-has-eku', [ca(ext.purposes(SERVER_AUTH))], { end: 'server' }),
  bad('webpki::eku::ee-clientauth-only', [root], uses(CLIENT_AUTH)),
  bad('webpki::eku::ee-precertificate-only', [root], uses(PRECERTIFICATE)),
  bad('webpki::eku::ee-precertificate-with-serverauth', [root], uses(SERVER_AUTH, PRECERTIFICATE)),
  good('webpki::eku::ee-serverauth-with-additional', [root], uses(SERVER_AUTH, CLIENT_AUTH)),
  bad('webpki::eku::ee-codesigning-with-serverauth', [root], uses(SERVER_AUTH, CODE)),
  bad('webpki::eku::ee-emailprotection-with-serverauth', [root], uses(SERVER_AUTH, MAIL)),
  bad('webpki::eku::ee-timestamping-with-serverauth', [root], uses(SERVER_AUTH, TIME)),
  bad('webpki::eku::ee-ocspsigning-with-serverauth', [root], uses(SERVER_AUTH, OCSP)),
  good('webpki::san::exact-localhost-ip-san', [root], {
    leaf: only(ip(127, 0, 0, 1)),
    name: '127.0.0.1',
    end: 'server',
  }),
  bad('webpki::malformed-aia', [root], knows(extension('1.3.6.1.5.5.7.1.1', Buffer.from('malformed')))),
  bad('webpki::forbidden-p192-root', [{ ...root, key: p192() }]),
  bad('webpki::forbidden-p192-leaf', [root], { shape: { key: p192() } }),
  bad('webpki::forbidden-dsa-root', [{ ...root, key: dsa, scheme: dsaSha256 }], {
    shape: { scheme: dsaSha256 },
  }),
  bad('webpki::forbidden-dsa-leaf', [root], { shape: { key: dsa } }),
  bad('webpki::forbidden-weak-rsa-key-in-root', [{ ...root, key: rsaKey(1024), scheme: schemes.rsa }], {
    shape: { scheme: schemes.rsa },
  }),
  bad(
    'webpki::forbidden-rsa-not-divisable-by-8-in-root',
    [{ ...root, key: rsaKey(2052), scheme: schemes.rsa }],
    {
      shape: { scheme: schemes.rsa },
    },
  ),
  bad('webpki::forbidden-rsa-key-not-divisable-by-8-in-leaf', [root], { shape: { key: rsaKey(2052) } }),
];
