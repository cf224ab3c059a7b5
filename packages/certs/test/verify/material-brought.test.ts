// SPDX-License-Identifier: Apache-2.0
// Material that people bring from elsewhere: what openssl makes, in every form it comes in.
import { createPrivateKey } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Authority, checkMaterial, readPem } from '../../src/index.js';
import { certificatePem } from '../../src/encoding/pem.js';
import { handshake, INPUT, noOpenssl, openssl, source } from '../support.js';

const ca = await Authority.create({ subject: { O: 'one' } });
const otherCa = await Authority.create({ subject: { O: 'two' } });
const server = await ca.issue('server', { names: ['podvm-server'] });

const input = (cert: string, key: string, anchors: string) => ({
  role: 'server' as const,
  cert: source(cert, 'tls.crt', '-cert-file'),
  key: source(key, 'tls.key', '-cert-key'),
  anchors: source(anchors, 'ca.crt', '-ca-cert-file'),
});

/** A certificate of openssl's making, signed by a CA of openssl's making, for the extensions given. */
function made(dir: string, extensions: string, args: readonly string[] = []): { cert: string; key: string } {
  openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'k'], { cwd: dir });
  openssl(['req', '-new', '-key', 'k', '-subj', '/CN=x', '-out', 'r'], { cwd: dir });
  openssl(
    [
      'x509',
      '-req',
      '-in',
      'r',
      '-extfile',
      INPUT,
      '-CA',
      'ca',
      '-CAkey',
      'cak',
      '-days',
      '1',
      ...args,
      '-out',
      'c',
    ],
    { cwd: dir, input: extensions },
  );
  return { cert: readFileSync(join(dir, 'c'), 'utf8'), key: readFileSync(join(dir, 'k'), 'utf8') };
}

t.test(
  'usages a leaf of somebody else carries are verified as its verifiers would',
  { skip: noOpenssl },
  async t => {
    const dir = t.testdir({ ca: ca.certPem, cak: ca.exportKeyPem() });
    const check = (extensions: string, args: readonly string[] = []) => {
      const { cert, key } = made(dir, extensions, args);
      return () => checkMaterial(input(cert, key, ca.certPem));
    };
    t.throws(check('subjectAltName=DNS:a\nkeyUsage=keyEncipherment'), {
      code: 'ERR_CERT_WRONG_PURPOSE',
      message: /lacks digitalSignature/,
    });
    t.throws(check('keyUsage=digitalSignature'), { code: 'ERR_CERT_NO_NAME', hint: /subjectAltName/ });
    t.throws(check('subjectAltName=DNS:a\n1.2.3.4=critical,ASN1:NULL'), {
      code: 'ERR_CERT_WRONG_PURPOSE',
      message: /1\.2\.3\.4/,
    });
    t.throws(check('subjectAltName=DNS:a', ['-sha1']), { code: 'ERR_CERT_WEAK', message: /SHA-1/ });
    t.throws(check('subjectAltName=DNS:a\nextendedKeyUsage=anyExtendedKeyUsage'), {
      code: 'ERR_CERT_WRONG_PURPOSE',
      message: /anyExtendedKeyUsage is not counted/,
    });
    t.doesNotThrow(check('subjectAltName=IP:10.0.0.1\nextendedKeyUsage=clientAuth,serverAuth'));
  },
);

t.test(
  'every form of key text works: PKCS#8, PKCS#1, SEC1, with parameters, text and CRLF around',
  { skip: noOpenssl },
  async t => {
    const dir = t.testdir({ ca: ca.certPem, cak: ca.exportKeyPem() });
    const { cert, key } = made(dir, 'subjectAltName=DNS:a');
    const sec1 = openssl(['ec', '-param_out'], { input: key }) + openssl(['ec'], { input: key });
    t.match(sec1, /EC PARAMETERS[^]*EC PRIVATE KEY/);
    const pkcs8 = openssl(['pkcs8', '-topk8', '-nocrypt'], { input: key });
    const text = openssl(['x509', '-text'], { input: cert });
    for (const form of [sec1, pkcs8, `Bag Attributes\r\n  friendlyName: x\r\n${pkcs8}`, `\ufeff${pkcs8}`]) {
      for (const change of [
        (s: string) => s,
        (s: string) => s.replaceAll('\n', '\r\n'),
        (s: string) => s.trimEnd(),
      ]) {
        const material = checkMaterial(input(change(text), change(form), change(ca.certPem)));
        t.equal(material.keyPem, pkcs8);
        t.equal(material.chainPem, openssl(['x509'], { input: cert }));
      }
    }
    const both = source(server.certPem + server.keyPem, 'both.pem', '-x');
    t.ok(checkMaterial({ ...input('', '', ca.certPem), cert: both, key: both }), 'one file for both');
    const rsa = await otherCa.issue('server', { names: ['a'], algorithm: 'rsa-2048' });
    const pkcs1 = createPrivateKey(rsa.keyPem).export({ type: 'pkcs1', format: 'pem' }).toString();
    t.match(pkcs1, /BEGIN RSA PRIVATE KEY/);
    t.equal(checkMaterial(input(rsa.certPem, pkcs1, ca.certPem)).keyPem, rsa.keyPem);
  },
);

t.test('a chain must lead from the leaf upwards, block by block', { skip: noOpenssl }, async t => {
  const dir = t.testdir({});
  const run = (args: readonly string[], input = '') => openssl(args, { cwd: dir, input });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  run(['req', '-x509', ...ec, '-keyout', 'rk', '-out', 'root', '-subj', '/CN=root']);
  run(['req', '-new', ...ec, '-keyout', 'ik', '-out', 'i.csr', '-subj', '/CN=middle']);
  run(
    [
      'x509',
      '-req',
      '-in',
      'i.csr',
      '-CA',
      'root',
      '-CAkey',
      'rk',
      '-extfile',
      INPUT,
      '-out',
      'ca',
      '-days',
      '5',
    ],
    'basicConstraints=critical,CA:TRUE,pathlen:0',
  );
  run(['pkey', '-in', 'ik', '-out', 'cak']);
  const file = (name: string): string => readFileSync(join(dir, name), 'utf8');
  const { cert, key } = made(dir, 'subjectAltName=DNS:a');
  const [root, middle] = [file('root'), file('ca')];
  const material = checkMaterial({ ...input(cert + middle, key, root), chainMustReachAnchors: true });
  t.equal(material.chain.length, 1);
  t.equal(material.expiresAt.getTime(), Date.parse(material.leaf.validTo), 'the earliest of the chain');
  t.ok(checkMaterial(input(cert + middle + root, key, root)), 'a root at the end does no harm');
  const unneeded = checkMaterial(input(cert + root, key, root));
  t.equal(unneeded.chain.length, 0);
  t.match(unneeded.warnings, [/certificate 2 in tls\.crt.*is not sent: CN=root .*signed nothing on the way/]);
  const unordered = checkMaterial(input(cert + root + middle, key, root));
  t.strictSame(
    unordered.chain.map(({ subject }) => subject),
    ['CN=middle', 'CN=root'],
    'sent in order',
  );
  t.match(unordered.warnings, [/do not stand leaf first/]);
  t.throws(() => checkMaterial({ ...input(cert, key, root), chainMustReachAnchors: true }), {
    code: 'ERR_CERT_CHAIN_NOT_ANCHORED',
  });
  t.ok(
    checkMaterial({ ...input(cert, key, middle), chainMustReachAnchors: true }),
    'an intermediate may be the anchor',
  );
});

t.test(
  'a block that is no certificate, and may be the one that leads on to an anchor, ends the start',
  async t => {
    // An UTF8String where its notAfter belongs: Node does not take it, and says no more than that.
    const der = Buffer.from(ca.certificate.raw);
    const at = der.indexOf(Buffer.from('170d', 'hex'), der.indexOf(Buffer.from('170d', 'hex')) + 2);
    der[at] = 0x0c;
    const odd = certificatePem(der);
    const message = /tls\.crt \(-cert-file\).*line \d+ .*its notAfter is neither UTCTime nor .*\(bytes 0c 0d/;
    t.throws(() => checkMaterial(input(server.certPem + odd, server.keyPem, otherCa.certPem)), {
      code: 'ERR_CERT_UNREADABLE',
      message,
    });
    t.match(
      checkMaterial(input(server.certPem + odd, server.keyPem, ca.certPem)).warnings,
      [message],
      'not needed',
    );
    const trust = checkMaterial(input(server.certPem, server.keyPem, odd + ca.certPem));
    t.match(
      trust.warnings,
      [/ca\.crt.*line 1 .*its notAfter is neither .*left out/],
      'one anchor among good ones',
    );
    t.throws(
      () => checkMaterial(input(odd + ca.certPem, server.keyPem, ca.certPem)),
      {
        code: 'ERR_CERT_UNREADABLE',
        message,
      },
      'in place of the leaf',
    );
  },
);

t.test('the recipes of the manual work as they are', { skip: noOpenssl }, async t => {
  const dir = t.testdir({});
  const subject = '/C=IN/ST=KA/L=BLR/O=Self/OU=Self';
  const recipe = `
openssl req -newkey rsa:2048 \\
  -new -nodes -x509 \\
  -days 30 \\
  -out ca.crt \\
  -keyout ca.key \\
  -subj "${subject}/CN=podvm_root_ca"
openssl genrsa -out tls.key 2048

openssl req -new -key tls.key -out tls.csr \\
  -subj "${subject}/CN=podvm-server"

openssl x509  -req -in tls.csr \\
  -extfile <(printf "subjectAltName=DNS:podvm-server") \\
  -CA ca.crt -CAkey ca.key  \\
  -days 30 -sha256 -CAcreateserial \\
  -out tls.crt
  openssl genrsa -out client.key 2048

  openssl req -new -key client.key -out client.csr \\
    -subj "${subject}/CN=podvm_client"

  openssl x509  -req -in client.csr \\
    -extfile <(printf "subjectAltName=DNS:podvm_client") \\
    -CA ca.crt -CAkey ca.key -out client.crt -days 30 -sha256 -CAcreateserial
`;
  const run = spawnSync('bash', ['-e', '-c', recipe], { cwd: dir, encoding: 'utf8' });
  t.equal(run.status, 0, run.stderr);
  const end = (role: 'server' | 'client', cert: string, key: string) =>
    checkMaterial({
      role,
      cert: readPem(join(dir, cert), '-cert-file'),
      key: readPem(join(dir, key), '-cert-key'),
      anchors: readPem(join(dir, 'ca.crt'), '-ca-cert-file'),
      chainMustReachAnchors: true,
    });
  const a = end('server', 'tls.crt', 'tls.key');
  const b = end('client', 'client.crt', 'client.key');
  const ends = [a, b].map(m => ({ cert: m.chainPem, key: m.keyPem, ca: [...m.anchorsPem] }));
  const [one, two] = ends;
  if (!one || !two) throw new Error('two ends');
  t.equal(await handshake(one, two, 'podvm-server'), 'TLSv1.3');
});
