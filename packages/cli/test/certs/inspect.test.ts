// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority, selfSignedClient } from '@peerpod-tls/certs';
import t from 'tap';
import { call } from '../support/in-process.js';
import { shortDirectory } from '../support/program.js';

const DAY = 86_400_000;
const long = 400;
const past = new Date(Date.now() - 300 * DAY);
const dir = shortDirectory(t);
const at = (name: string, text?: string) => {
  const path = join(dir, name);
  if (text !== undefined) writeFileSync(path, text);
  return path;
};

// One authority with everything good, and one of each kind of trouble.
const authority = await Authority.create({ now: past, lifetimeDays: long });
const stranger = await Authority.create({ subject: { O: 'somebody else' } });
const server = await authority.issue('server', { names: ['podvm-server'] });
const client = await authority.issue('client');
const expired = await authority.issue('server', { names: ['podvm-server'], lifetimeDays: 30, now: past });
const openssl = spawnSync('openssl', ['version']).status === 0;
const own = await selfSignedClient();
const ca = at('ca.crt', authority.certPem);
const tls = at('tls.crt', server.certPem);
const tlsKey = at('tls.key', server.keyPem);
const clientCrt = at('client.crt', client.certPem);
const clientKey = at('client.key', client.keyPem);

t.test('a certificate is shown with dates, names, purpose, key and fingerprint', async t => {
  const { code, stdout } = await call(['certs', 'inspect', tls]);
  t.equal(code, 0);
  t.match(stdout, /subject +O=agent-protocol-forwarder, CN=podvm-server/);
  t.match(stdout, /valid +20\d\d-.+ UTC to .+ UTC, ends in 100 days/);
  t.match(stdout, /names +podvm-server/);
  t.match(stdout, /purpose +TLS server/);
  t.match(stdout, /key +ecdsa-p256/);
  t.match(stdout, /sha256 +[0-9a-f]{64}/);
});

t.test('a pair that fits and the anchor it leads to are fine, by purpose or by -role', async t => {
  const good = await call(['certs', 'inspect', tls, '--key', tlsKey, '--ca', ca, '--name', 'podvm-server']);
  t.equal(good.code, 0, good.stdout);
  t.match(good.stdout, /✓ \S+tls\.key belongs to it/);
  t.match(good.stdout, /✓ a peer that trusts \S+ca\.crt accepts it as a TLS server called podvm-server/);
  const self = at('own.crt', own.certPem);
  const anchored = await call(['certs', 'inspect', self, '--ca', self, '--role', 'client']);
  t.equal(anchored.code, 0, 'a self-signed client is its own anchor');
});

t.test('every reason to refuse is told in words, with exit code 1', async t => {
  const two = at('two.crt', `${server.certPem}junk between\r\n${authority.certPem.replaceAll('\n', '\r\n')}`);
  const rows: readonly (readonly [string, string[], RegExp])[] = [
    [
      'the key of another certificate',
      [tls, '--key', clientKey],
      /✗ the key in \S+client\.key \(--key\) does not belong/,
    ],
    [
      'another authority',
      [tls, '--ca', at('other.crt', stranger.certPem)],
      /✗ a peer that trusts \S+other\.crt refuses it: .*which is none of the 1 expected anchor.*O=somebody else/,
    ],
    ['another name', [tls, '--ca', ca, '--name', 'podvm-x'], /is for podvm-server, and podvm-x was dialled/],
    ['another purpose', [clientCrt, '--ca', ca, '--role', 'server'], /✗ .*cannot be used for a TLS server/],
    ['expired, seen alone', [at('expired.crt', expired.certPem)], /✗ .*expired at .*the clock here says/],
    ['expired, in a pair', [at('expired.crt'), '--key', at('expired.key', expired.keyPem)], /✗ .*expired at/],
    ['no such file', [at('missing.crt')], /✗ \S+missing\.crt \(FILE\) does not exist/],
    ['an empty file', [at('empty.crt', '')], /✗ \S+empty\.crt \(FILE\) is empty/],
    ['a truncated file', [at('cut.crt', server.certPem.slice(0, 300))], /✗ .*does not end/],
    ['a key alone', [tlsKey], /✗ the file holds a private key and no certificate .*--key/],
    [
      'an anchor that is none',
      [tls, '--ca', at('notes.txt', 'hello\n')],
      /✗ \S+notes\.txt \(--ca\) holds no certificate/,
    ],
    ['not a chain', [two, '--key', tlsKey, '--ca', at('other.crt')], /✗/],
  ];
  for (const [what, argv, words] of rows) {
    const { code, stdout, stderr } = await call(['certs', 'inspect', ...argv]);
    t.equal(code, 1, what);
    t.match(stdout.replaceAll(/\s+/gu, ' '), words, what);
    t.equal(stderr, '', what);
  }
});

t.test('a bundle is shown block by block, and a key beside a certificate is warned of', async t => {
  const bundle = at('bundle.pem', `comment\r\n${authority.certPem}${stranger.certPem}`);
  const { code, stdout } = await call(['certs', 'inspect', bundle]);
  t.equal(code, 0);
  t.equal(stdout.match(/certificate authority/g)?.length, 2);
  const both = await call(['certs', 'inspect', at('both.pem', server.certPem + server.keyPem)]);
  t.equal(both.code, 0);
  t.match(both.stdout, /! the file holds a private key as well/);
  t.notMatch(both.stdout, /BEGIN|PRIVATE KEY/);
});

t.test('names in a certificate cannot move the cursor', { skip: !openssl && 'no openssl here' }, async t => {
  const path = at('hostile.crt');
  const argv = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-utf8'];
  const subject = '/O=x\u001b[2J\u202ey';
  execFileSync('openssl', [...argv, '-subj', subject, '-keyout', at('hostile.key'), '-out', path], {
    stdio: 'ignore',
  });
  const { stdout } = await call(['certs', 'inspect', path]);
  t.match(stdout, /subject +O=x.*y/);
  t.notOk(stdout.includes('\u001b') || stdout.includes('\u202e'), stdout);
});

t.test('a directory is checked as a whole', async t => {
  writeFileSync(join(dir, 'ca.key'), authority.exportKeyPem());
  const good = await call(['certs', 'inspect', dir]);
  t.equal(good.code, 0, good.stdout);
  t.match(good.stdout, /ca\.key is the authority's key/);
  const mixed = shortDirectory(t);
  for (const name of ['ca.crt', 'tls.crt']) writeFileSync(join(mixed, name), readFileSync(join(dir, name)));
  writeFileSync(join(mixed, 'tls.key'), client.keyPem);
  const bad = await call(['certs', 'inspect', mixed, '--json']);
  t.equal(bad.code, 1);
  const files: { file: string; refused: boolean; findings: { code: string }[] }[] = JSON.parse(
    bad.stdout,
  ).files;
  t.match(files, [{ refused: false }, { refused: true }]);
  t.ok(files[1]?.findings.some(f => f.code === 'ERR_CERT_KEY_MISMATCH'));
  const none = await call(['certs', 'inspect', shortDirectory(t)]);
  t.equal(none.code, 1);
  t.match(none.stderr, /holds none of ca\.crt, tls\.crt and client\.crt/);
});

t.test('one key cannot belong to several files', async t => {
  const { code, stderr } = await call(['certs', 'inspect', tls, clientCrt, '--key', tlsKey]);
  t.equal(code, 2);
  t.match(stderr, /-key belongs to one certificate/);
});

t.test(
  'certificates made with openssl are read as they are',
  { skip: !openssl && 'no openssl here' },
  async t => {
    const made = shortDirectory(t);
    const run = (...argv: string[]) => execFileSync('openssl', argv, { cwd: made, stdio: 'ignore' });
    const subject = (cn: string) => `/C=IN/ST=KA/L=BLR/O=Self/OU=Self/CN=${cn}`;
    run(
      'req',
      '-newkey',
      'rsa:2048',
      '-new',
      '-nodes',
      '-x509',
      '-days',
      '30',
      '-out',
      'ca.crt',
      '-keyout',
      'ca.key',
      '-subj',
      subject('podvm_root_ca'),
    );
    run('genrsa', '-out', 'tls.key', '2048');
    run('req', '-new', '-key', 'tls.key', '-out', 'tls.csr', '-subj', subject('podvm-server'));
    writeFileSync(join(made, 'ext'), 'subjectAltName=DNS:podvm-server');
    run(
      'x509',
      '-req',
      '-in',
      'tls.csr',
      '-extfile',
      'ext',
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-days',
      '30',
      '-sha256',
      '-CAcreateserial',
      '-out',
      'tls.crt',
    );
    const { code, stdout } = await call(['certs', 'inspect', made]);
    t.equal(code, 0, stdout);
    t.match(stdout, /subject +C=IN, ST=KA, L=BLR, O=Self, OU=Self, CN=podvm-server/);
    t.match(stdout, /key +rsa-2048/);
    t.match(stdout, /purpose +any: it carries no extended key usage/);
    t.match(stdout, /accepts it as a TLS server called podvm-server/);
  },
);
