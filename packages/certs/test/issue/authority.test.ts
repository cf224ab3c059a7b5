// SPDX-License-Identifier: Apache-2.0
import type { X509Certificate } from 'node:crypto';
import { inspect } from 'node:util';
import t from 'tap';
import { Authority, selfSignedClient } from '../../src/index.js';
import { decodeDer, encodeDer, childrenOf, Tag } from '../../src/encoding/der.js';
import { factsOf } from '../../src/verify/facts.js';
import type { KeyAlgorithm } from '../../src/issue/keys.js';
import { handshake, noOpenssl, openssl, strictVerify } from '../support.js';

const now = new Date();
const day = 24 * 3600 * 1000;
const algorithms: KeyAlgorithm[] = ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa-2048'];

for (const algorithm of algorithms) {
  t.test(`${algorithm}: what an authority makes shakes hands and verifies strictly`, async t => {
    const ca = await Authority.create({ algorithm });
    const server = await ca.issue('server', { names: ['vm-1', '127.0.0.1', '::1'], algorithm });
    const client = await ca.issue('client', { algorithm });
    const alone = await selfSignedClient({ algorithm });
    t.ok(server.certificate.verify(ca.certificate.publicKey));
    t.ok(server.certificate.checkIssued(ca.certificate));
    t.ok(server.certificate.checkHost('vm-1'));
    t.ok(server.certificate.checkIP('127.0.0.1') && server.certificate.checkIP('::1'));
    const serverEnd = { cert: server.certPem, key: server.keyPem, ca: ca.certPem };
    const clientEnd = { cert: client.certPem, key: client.keyPem, ca: ca.certPem };
    t.equal(await handshake(serverEnd, clientEnd, 'vm-1'), 'TLSv1.3');
    t.equal(await handshake(serverEnd, clientEnd, 'vm-1', { maxVersion: 'TLSv1.2' }), 'TLSv1.2');
    const aloneEnd = { cert: alone.certPem, key: alone.keyPem, ca: ca.certPem };
    t.equal(await handshake({ ...serverEnd, ca: alone.certPem }, aloneEnd, 'vm-1'), 'TLSv1.3', 'own anchor');
    await t.test('and openssl accepts them for what they are', { skip: noOpenssl }, async t => {
      const dir = t.testdir();
      t.match(strictVerify(dir, 'sslserver', ca.certPem, server.certPem), /OK/);
      t.match(strictVerify(dir, 'sslclient', ca.certPem, client.certPem), /OK/);
      t.match(strictVerify(dir, 'sslclient', alone.certPem, alone.certPem, ['-partial_chain']), /OK/);
      t.throws(() => strictVerify(dir, 'sslclient', ca.certPem, server.certPem), /purpose/);
      t.throws(() => strictVerify(dir, 'sslserver', ca.certPem, client.certPem), /purpose/);
      openssl(['pkey', '-noout', '-check'], { input: server.keyPem });
    });
  });
}

t.test('the larger RSA keys are made and certified', async t => {
  const ca = await Authority.create();
  for (const algorithm of ['rsa-3072', 'rsa-4096'] as const) {
    const { certificate, certPem } = await ca.issue('server', { names: ['vm'], algorithm });
    t.equal(certificate.publicKey.asymmetricKeyDetails?.modulusLength, Number(algorithm.slice(4)));
    t.ok(certificate.verify(ca.certificate.publicKey));
    if (!noOpenssl) t.match(strictVerify(t.testdir(), 'sslserver', ca.certPem, certPem), /OK/);
  }
});

t.test('a certificate says no more than its profile', async t => {
  const ca = await Authority.create({ now });
  const server = await ca.issue('server', { names: ['vm-1'], now });
  const client = await ca.issue('client', { now });
  const facts = factsOf(server.certificate);
  t.strictSame(facts.keyUsage, ['digitalSignature']);
  t.strictSame(facts.purposes, ['1.3.6.1.5.5.7.3.1']);
  t.strictSame(factsOf(client.certificate).purposes, ['1.3.6.1.5.5.7.3.2']);
  t.strictSame(facts.basicConstraints, { ca: false, pathLength: null });
  t.strictSame(factsOf(ca.certificate).basicConstraints, { ca: true, pathLength: 0 });
  t.strictSame(factsOf(ca.certificate).keyUsage, ['keyCertSign', 'cRLSign']);
  t.equal(server.certificate.subject, 'O=agent-protocol-forwarder\nCN=vm-1');
  t.equal(client.certificate.subject, 'O=cloud-api-adaptor');
  t.equal(ca.certificate.subject, 'O=agent-protocol-forwarder');
  t.ok(
    encodeDer(factsOf(ca.certificate).subject).equals(issuerNode(server.certificate)),
    'the issuer is copied',
  );
  t.match(server.certificate.serialNumber, /^[4-7][0-9A-F]{31}$/, 'positive, 128 bits, no padding');
  t.not(server.certificate.serialNumber, client.certificate.serialNumber);
  t.match(server.keyPem, /^-----BEGIN PRIVATE KEY-----\n/);
});

const tbsOf = (certificate: X509Certificate) =>
  childrenOf(childrenOf(decodeDer(certificate.raw), Tag.sequence)[0], Tag.sequence);
const issuerNode = (certificate: X509Certificate): Buffer => {
  const node = tbsOf(certificate)[3];
  return node ? encodeDer(node) : Buffer.alloc(0);
};

t.test('an algorithm identifier has NULL parameters for RSA and none for the others', async t => {
  const expected = {
    'ecdsa-p256': '300a06082a8648ce3d040302',
    'ecdsa-p384': '300a06082a8648ce3d040303',
    ed25519: '300506032b6570',
    'rsa-2048': '300d06092a864886f70d01010b0500',
  } as const;
  for (const algorithm of ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa-2048'] as const) {
    const { certificate } = await selfSignedClient({ algorithm });
    const inner = tbsOf(certificate)[2];
    const outer = childrenOf(decodeDer(certificate.raw), Tag.sequence)[1];
    t.equal(inner && encodeDer(inner).toString('hex'), expected[algorithm]);
    t.equal(outer && encodeDer(outer).toString('hex'), expected[algorithm]);
  }
});

t.test('validity starts five minutes back and stays within the issuer', async t => {
  const ca = await Authority.create({ now, lifetimeDays: 10 });
  const leaf = await ca.issue('client', { now: new Date(now.getTime() + day) });
  t.equal(leaf.certificate.validTo, ca.certificate.validTo, 'clamped to the end');
  const early = await ca.issue('client', { now: new Date(now.getTime() - 60_000), lifetimeDays: 1 });
  t.equal(early.certificate.validFrom, ca.certificate.validFrom, 'clamped to the beginning');
  const whole = Math.floor(now.getTime() / 1000) * 1000;
  t.equal(Date.parse(ca.certificate.validFrom), whole - 5 * 60_000);
  t.equal(Date.parse(ca.certificate.validTo), whole + 10 * day);
  await t.rejects(ca.issue('client', { now: new Date(now.getTime() + 11 * day) }), {
    code: 'ERR_CERT_EXPIRED',
  });
  await t.rejects(ca.issue('client', { now: new Date(now.getTime() - 9 * day), lifetimeDays: 1 }), {
    code: 'ERR_CERT_NOT_YET_VALID',
  });
});

t.test('a date from 2050 on is written as GeneralizedTime', async t => {
  const ca = await Authority.create({ now, lifetimeDays: 20_000 });
  const dates = childrenOf(tbsOf(ca.certificate)[4], Tag.sequence);
  t.strictSame(
    dates.map(date => Number(date.type)),
    [Tag.utcTime, Tag.generalizedTime],
  );
  t.equal(Date.parse(ca.certificate.validTo), Math.floor(now.getTime() / 1000) * 1000 + 20_000 * day);
});

t.test('names, subjects and lifetimes that cannot be are refused', async t => {
  const ca = await Authority.create();
  for (const name of [
    '',
    'a b',
    '*.vm',
    'vm.',
    '-vm',
    'vm\0x',
    'ä',
    '1.2.3.400',
    'fe80::1%eth0',
    'a'.repeat(64),
    `${'a.'.repeat(127)}ab`,
    'DNS:x',
  ]) {
    await t.rejects(
      ca.issue('server', { names: [name] }),
      { code: 'ERR_CERT_NAME_INVALID' },
      JSON.stringify(name),
    );
  }
  await t.rejects(ca.issue('server', {}), { code: 'ERR_CERT_NAME_INVALID', hint: /dial/ });
  await t.rejects(ca.issue('server', { names: Array.from({ length: 101 }, (_, i) => `n${i}`) }), {
    code: 'ERR_CERT_NAME_INVALID',
  });
  for (const subject of [
    {},
    { O: '' },
    { CN: 'a'.repeat(65) },
    { O: 'a\nb' },
    { C: 'DEU' },
    { O: '\ud800' },
  ]) {
    await t.rejects(ca.issue('client', { subject }), { code: 'ERR_CERT_SUBJECT_INVALID' }, inspect(subject));
  }
  for (const lifetimeDays of [0, -1, Number.NaN, Infinity, 40_000]) {
    await t.rejects(ca.issue('client', { lifetimeDays }), { code: 'ERR_CERT_LIFETIME_INVALID' });
  }
  // @ts-expect-error a caller in JavaScript may pass anything
  await t.rejects(ca.issue('client', { algorithm: 'dsa' }), { code: 'ERR_CERT_KEY_UNSUPPORTED' });
});

t.test('names and subjects that can be are kept as they are', async t => {
  const ca = await Authority.create({ subject: { O: 'Zürich & Söhne', CN: 'ca' } });
  const leaf = await ca.issue('server', {
    names: ['a_b.example', '10.0.0.1', '::ffff:1.2.3.4', '2001:db8::1', 'A-1', '10.0.0.1'],
    subject: { C: 'CH', O: 'x', OU: 'y', CN: 'z' },
  });
  t.equal(leaf.certificate.issuer, 'O=Zürich & Söhne\nCN=ca');
  t.equal(leaf.certificate.subject, 'C=CH\nO=x\nOU=y\nCN=z');
  t.equal(
    leaf.certificate.subjectAltName,
    'DNS:a_b.example, IP Address:10.0.0.1, IP Address:0:0:0:0:0:FFFF:102:304, IP Address:2001:DB8:0:0:0:0:0:1, DNS:A-1',
  );
  t.ok(leaf.certificate.verify(ca.certificate.publicKey) && leaf.certificate.checkIssued(ca.certificate));
  const long = await ca.issue('server', { names: [`${'a'.repeat(40)}.${'b'.repeat(40)}`] });
  t.equal(
    long.certificate.subject,
    'O=agent-protocol-forwarder',
    'a name too long for a CN is in the SAN alone',
  );
});

t.test('an authority comes back from its PEM texts and issues on', async t => {
  const ca = await Authority.create({ subject: { O: 'näme' } });
  const again = Authority.load(ca.certPem, ca.exportKeyPem());
  t.equal(again.certPem, ca.certPem);
  const leaf = await again.issue('server', { names: ['vm'] });
  t.ok(leaf.certificate.checkIssued(ca.certificate) && leaf.certificate.verify(ca.certificate.publicKey));
  const other = await Authority.create();
  t.throws(() => Authority.load(ca.certPem, other.exportKeyPem()), { code: 'ERR_CERT_KEY_MISMATCH' });
  t.throws(() => Authority.load(leaf.certPem, leaf.keyPem), { code: 'ERR_CERT_NOT_A_CA' });
  t.throws(() => Authority.load(ca.certPem + other.certPem, ca.exportKeyPem()), {
    code: 'ERR_CERT_SEVERAL_CERTIFICATES',
  });
  t.throws(() => Authority.load('x', ca.exportKeyPem()), { code: 'ERR_CERT_NO_CERTIFICATE' });
  t.throws(() => Authority.load(ca.certPem, ca.certPem), { code: 'ERR_CERT_NO_KEY' });
  t.throws(
    () => Authority.load(ca.certPem, ca.exportKeyPem(), { now: new Date(now.getTime() + 2000 * day) }),
    {
      code: 'ERR_CERT_EXPIRED',
      message: /clock/,
    },
  );
  t.throws(() => Authority.load(ca.certPem, ca.exportKeyPem(), { now: new Date(now.getTime() - day) }), {
    code: 'ERR_CERT_NOT_YET_VALID',
  });
});

t.test('printing, logging or serialising does not show a private key', async t => {
  const ca = await Authority.create();
  const leaf = await ca.issue('client');
  for (const thing of [ca, leaf]) {
    const shown =
      inspect(thing, { depth: 9, showHidden: true, getters: false }) +
      JSON.stringify(thing) +
      JSON.stringify({ ...thing });
    t.notMatch(shown, /PRIVATE/);
  }
});
