// SPDX-License-Identifier: Apache-2.0
import { inspect } from 'node:util';
import t from 'tap';
import { Authority, checkMaterial, describeMaterial, selfSignedClient } from '../../src/index.js';
import { noOpenssl, openssl, source } from '../support.js';

const day = 24 * 3600 * 1000;
const now = new Date();
const later = (days: number): Date => new Date(now.getTime() + days * day);

const ca = await Authority.create({ subject: { O: 'one' } });
const otherCa = await Authority.create({ subject: { O: 'two' } });
const server = await ca.issue('server', { names: ['podvm-server'] });
const client = await ca.issue('client');

const input = (cert: string, key: string, anchors: string | null, role: 'server' | 'client' = 'server') => ({
  role,
  cert: source(cert, 'tls.crt', '-cert-file'),
  key: source(key, 'tls.key', '-cert-key'),
  anchors: anchors === null ? null : source(anchors, 'ca.crt', '-ca-cert-file'),
});

t.test('good material is accepted, normalised and says when it ends', async t => {
  const material = checkMaterial(input(server.certPem, server.keyPem, ca.certPem));
  t.equal(material.chainPem, server.certPem);
  t.equal(material.keyPem, server.keyPem);
  t.strictSame(material.anchorsPem, [ca.certPem]);
  t.equal(material.expiresAt.getTime(), Date.parse(server.certificate.validTo));
  t.strictSame(material.warnings, []);
  t.equal(checkMaterial(input(client.certPem, client.keyPem, ca.certPem, 'client')).role, 'client');
  const shown =
    inspect(material, { depth: 9, showHidden: true }) +
    JSON.stringify(material) +
    JSON.stringify({ ...material });
  t.notMatch(shown, /PRIVATE/, 'printing it does not show the key');
  t.notMatch(JSON.stringify(describeMaterial(material)), /BEGIN|PRIVATE/, 'nor does describing it');
  t.match(describeMaterial(material), { role: 'server', leaf: { names: ['podvm-server'] }, chainLength: 1 });
});

t.test('a key of another certificate is refused, naming both files and the flags', async t => {
  t.throws(() => checkMaterial(input(server.certPem, client.keyPem, ca.certPem)), {
    code: 'ERR_CERT_KEY_MISMATCH',
    message: /tls\.key \(-cert-key\).*tls\.crt \(-cert-file\).*CN=podvm-server/,
    hint: /-cert-file and -cert-key/,
  });
  const swapped = checkMaterial(input(ca.certPem + server.certPem, server.keyPem, ca.certPem));
  t.equal(swapped.chainPem, server.certPem + ca.certPem, 'the leaf is the one the key belongs to');
  t.match(swapped.warnings, [/leaf is certificate 2 in tls\.crt/]);
});

t.test('dates are refused with both clocks', async t => {
  t.throws(() => checkMaterial({ ...input(server.certPem, server.keyPem, ca.certPem), now: later(800) }), {
    code: 'ERR_CERT_EXPIRED',
    message: new RegExp(
      `tls\\.crt.*expired at ${new Date(server.certificate.validTo).toISOString()}.*says ${later(800).toISOString()}`,
    ),
  });
  t.throws(() => checkMaterial({ ...input(server.certPem, server.keyPem, ca.certPem), now: later(-1) }), {
    code: 'ERR_CERT_NOT_YET_VALID',
    message: /is valid from .* the clock here says/,
    hint: /clock/,
  });
});

t.test('a leaf for the other end, and a CA in the place of a leaf, are refused', async t => {
  t.throws(() => checkMaterial(input(client.certPem, client.keyPem, ca.certPem, 'server')), {
    code: 'ERR_CERT_WRONG_PURPOSE',
    message: /-cert-file.*server.*clientAuth.*lacks serverAuth/,
  });
  t.throws(() => checkMaterial(input(server.certPem, server.keyPem, ca.certPem, 'client')), {
    code: 'ERR_CERT_WRONG_PURPOSE',
  });
  t.throws(() => checkMaterial(input(ca.certPem, ca.exportKeyPem(), ca.certPem)), { code: 'ERR_CERT_IS_CA' });
});

t.test('trust that is missing, empty, unreadable or over is refused', async t => {
  const pair = [server.certPem, server.keyPem] as const;
  t.throws(() => checkMaterial(input(...pair, null)), { code: 'ERR_CERT_NO_TRUST' });
  t.strictSame(checkMaterial({ ...input(...pair, null), allowNoAnchors: true }).anchors, []);
  for (const text of ['', 'hello', server.keyPem]) {
    t.throws(() => checkMaterial({ ...input(...pair, text), allowNoAnchors: true }), {
      code: 'ERR_CERT_NO_TRUST',
      message: /ca\.crt \(-ca-cert-file\)/,
    });
  }
  const rubbish = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  t.throws(() => checkMaterial(input(...pair, rubbish)), {
    code: 'ERR_CERT_ANCHOR_UNREADABLE',
    message: /begun in line 1 is no certificate/,
  });
  const oddOne = checkMaterial(input(...pair, ca.certPem + rubbish));
  t.equal(oddOne.anchors.length, 1, 'one odd block among good ones is left out');
  t.match(oddOne.warnings, [/begun in line \d+ is no certificate; it is left out/]);
  t.throws(() => checkMaterial(input(...pair, ca.certPem.slice(0, 300))), { code: 'ERR_CERT_PEM_MALFORMED' });
  const old = await Authority.create({ now: later(-20), lifetimeDays: 10 });
  t.throws(() => checkMaterial(input(...pair, old.certPem)), {
    code: 'ERR_CERT_ANCHORS_EXPIRED',
    message: /clock/,
  });
  const mixed = checkMaterial(input(...pair, old.certPem + ca.certPem + ca.certPem + ca.exportKeyPem()));
  t.equal(mixed.anchors.length, 2, 'each once');
  t.match(mixed.warnings, [/anchor 1 .* expired at/, /private key/]);
});

t.test('anchors verify the peer; our own chain must reach them only when asked', async t => {
  const args = input(server.certPem, server.keyPem, otherCa.certPem);
  t.ok(checkMaterial(args));
  t.throws(() => checkMaterial({ ...args, chainMustReachAnchors: true }), {
    code: 'ERR_CERT_CHAIN_NOT_ANCHORED',
    message: /tls\.crt.*ca\.crt.*O=one.*none of the 1 expected anchor .*O=two/,
  });
  t.ok(checkMaterial({ ...args, anchors: source(ca.certPem, 'b', '-b'), chainMustReachAnchors: true }));
});

t.test(
  'an unsupported or weak key and text that is no key are refused with codes of their own',
  { skip: noOpenssl },
  async t => {
    const bad =
      (key: string, cert = server.certPem) =>
      () =>
        checkMaterial(input(cert, key, ca.certPem));
    t.throws(bad(openssl(['pkey', '-aes128', '-passout', 'pass:x'], { input: server.keyPem })), {
      code: 'ERR_CERT_KEY_ENCRYPTED',
      hint: /openssl pkey -in tls\.key/,
    });
    t.throws(
      bad(openssl(['ec', '-aes128', '-passout', 'pass:x'], { input: server.keyPem })),
      { code: 'ERR_CERT_KEY_ENCRYPTED' },
      'the old headers',
    );
    t.throws(bad(server.keyPem + client.keyPem), { code: 'ERR_CERT_SEVERAL_KEYS' });
    t.throws(bad(server.certPem), { code: 'ERR_CERT_NO_KEY' });
    t.throws(bad('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'), {
      code: 'ERR_CERT_KEY_UNREADABLE',
    });
    t.throws(bad('-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n'), {
      code: 'ERR_CERT_KEY_UNREADABLE',
    });
    t.throws(bad(openssl(['genrsa', '1024'])), { code: 'ERR_CERT_WEAK', message: /rsa-1024/ });
    t.throws(bad(openssl(['ecparam', '-name', 'secp256k1', '-genkey', '-noout'])), {
      code: 'ERR_CERT_KEY_UNSUPPORTED',
      message: /secp256k1/,
    });
    t.throws(bad(openssl(['genpkey', '-algorithm', 'ed448'])), { code: 'ERR_CERT_KEY_UNSUPPORTED' });
  },
);

t.test('a self-signed client is good material beside any anchors', async t => {
  const alone = await selfSignedClient();
  t.ok(checkMaterial(input(alone.certPem, alone.keyPem, ca.certPem, 'client')));
  t.ok(
    checkMaterial({
      ...input(alone.certPem, alone.keyPem, alone.certPem, 'client'),
      chainMustReachAnchors: true,
    }),
  );
});
