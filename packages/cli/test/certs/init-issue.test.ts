// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { call } from '../support/in-process.js';
import { peerpod, shortDirectory } from '../support/program.js';

const openssl = spawnSync('openssl', ['version']).status === 0;

t.test('init and issue leave the six files of manual mode, private, under their right names', async t => {
  const dir = join(shortDirectory(t), 'pki');
  const made = await peerpod(t, ['certs', 'init', dir]);
  t.equal(made.code, 0);
  t.equal(made.stdout, `${dir}/ca.crt\n${dir}/ca.key\n`);
  t.match(made.stderr, /purpose +certificate authority/);
  const server = await peerpod(t, ['certs', 'issue', 'server', '--ca', dir, '--out', dir]);
  t.equal(server.stdout, `${dir}/tls.crt\n${dir}/tls.key\n`);
  t.match(server.stderr, /names +podvm-server\n/);
  const client = await call(['certs', 'issue', 'client', '-ca', dir]);
  t.equal(client.stdout, `${dir}/client.crt\n${dir}/client.key\n`);
  t.match(
    client.stderr,
    /cloud-api-adaptor PROVIDER -ca-cert-file \S+ca\.crt -cert-file \S+client\.crt -cert-key \S+client\.key/,
  );

  t.same(readdirSync(dir).sort(), ['ca.crt', 'ca.key', 'client.crt', 'client.key', 'tls.crt', 'tls.key']);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  for (const file of readdirSync(dir)) t.equal(statSync(join(dir, file)).mode & 0o777, 0o600, file);

  const inspected = await peerpod(t, ['certs', 'inspect', dir]);
  t.equal(inspected.code, 0, inspected.stdout);
  t.match(inspected.stdout, /accepts it as a TLS server called podvm-server/);
  t.match(inspected.stdout, /accepts it as a TLS client/);
  t.notMatch(inspected.stdout + made.stdout + made.stderr + server.stderr, /PRIVATE KEY/);
});

t.test(
  'openssl accepts what was issued, for its purpose and no other',
  { skip: !openssl && 'no openssl here' },
  async t => {
    const dir = shortDirectory(t);
    await call(['certs', 'init', dir, '-key-type', 'ecdsa-p384']);
    await call([
      'certs',
      'issue',
      'server',
      '-ca',
      dir,
      '-name',
      'podvm-server,10.0.0.7',
      '-key-type',
      'ed25519',
    ]);
    await call(['certs', 'issue', 'client', '-ca', dir]);
    const verify = (purpose: string, file: string) =>
      spawnSync('openssl', [
        'verify',
        '-x509_strict',
        '-purpose',
        purpose,
        '-CAfile',
        join(dir, 'ca.crt'),
        join(dir, file),
      ]).status;
    t.equal(verify('sslserver', 'tls.crt'), 0);
    t.equal(verify('sslclient', 'client.crt'), 0);
    t.not(verify('sslclient', 'tls.crt'), 0);
    t.not(verify('sslserver', 'client.crt'), 0);
  },
);

t.test(
  'a signing request gets a certificate, and its key is nowhere to be seen',
  { skip: !openssl && 'no openssl here' },
  async t => {
    const dir = shortDirectory(t);
    await call(['certs', 'init', dir]);
    const csr = join(dir, 'vm.csr');
    execFileSync(
      'openssl',
      [
        'req',
        '-new',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-subj',
        '/CN=ignored',
        '-keyout',
        join(dir, 'vm.key'),
        '-out',
        csr,
      ],
      { stdio: 'ignore' },
    );
    const { code, stdout } = await call(['certs', 'issue', 'server', '-ca', dir, '-csr', csr]);
    t.equal(code, 0);
    t.equal(stdout, `${dir}/tls.crt\n`);
    const inspected = await call([
      'certs',
      'inspect',
      join(dir, 'tls.crt'),
      '--key',
      join(dir, 'vm.key'),
      '--ca',
      join(dir, 'ca.crt'),
    ]);
    t.equal(inspected.code, 0, inspected.stdout);
    t.notMatch(inspected.stdout, /ignored/, "subject and names are the authority's choice");
  },
);

t.test('nothing is overwritten without -force', async t => {
  const dir = shortDirectory(t);
  await call(['certs', 'init', dir]);
  await call(['certs', 'issue', 'client', '-ca', dir]);
  const before = readFileSync(join(dir, 'client.crt'), 'utf8');
  for (const argv of [
    ['init', dir],
    ['issue', 'client', '-ca', dir],
  ]) {
    const { code, stderr, stdout } = await call(['certs', ...argv]);
    t.equal(code, 1);
    t.equal(stdout, '');
    t.match(stderr, /exist already\n {2}-force replaces them/);
  }
  t.equal(readFileSync(join(dir, 'client.crt'), 'utf8'), before);
  t.equal((await call(['certs', 'issue', 'client', '-ca', dir, '-force'])).code, 0);
  t.not(readFileSync(join(dir, 'client.crt'), 'utf8'), before);
});

t.test('with -json the result is one document without any key', async t => {
  const dir = shortDirectory(t);
  const { stdout, stderr } = await call([
    'certs',
    'init',
    dir,
    '-json',
    '-days',
    '30',
    '-common-name',
    'test',
  ]);
  t.equal(stderr, '');
  t.match(JSON.parse(stdout), {
    files: { cert: join(dir, 'ca.crt'), key: join(dir, 'ca.key') },
    certificate: { subject: 'O=agent-protocol-forwarder, CN=test', isCa: true, key: 'ecdsa-p256' },
  });
  t.notMatch(stdout, /BEGIN/);
});

t.test('what cannot be is refused in words, and nothing is written', async t => {
  const dir = shortDirectory(t);
  const empty = join(dir, 'empty');
  mkdirSync(empty, { mode: 0o700 });
  const pki = join(dir, 'pki');
  await call(['certs', 'init', pki]);
  const broken = join(dir, 'broken');
  mkdirSync(broken, { mode: 0o700 });
  writeFileSync(join(broken, 'ca.crt'), readFileSync(join(pki, 'ca.crt'), 'utf8').slice(0, 200));
  writeFileSync(join(broken, 'ca.key'), '');
  const rows: readonly (readonly [string[], number, RegExp])[] = [
    [['issue', 'server', '-ca', empty], 1, /empty\/ca\.crt \(-ca\) does not exist/],
    [['issue', 'server', '-ca', broken], 1, /ca\.key \(-ca\) is empty/],
    [['issue', 'server', '-ca', pki, '-name', 'not a name'], 1, /not a name/],
    [['issue', 'server', '-ca', pki, '-days', '0'], 2, /-days/],
    [['issue', 'server', '-ca', pki, '-key-type', 'rsa-1024'], 2, /-key-type/],
    [['issue', 'server', '-ca', pki, '-csr', join(pki, 'ca.crt')], 1, /./],
    [['init', join(pki, 'ca.crt', 'below')], 1, /./],
  ];
  for (const [argv, expected, words] of rows) {
    const { code, stdout, stderr } = await call(['certs', ...argv]);
    t.equal(code, expected, argv.join(' '));
    t.equal(stdout, '', argv.join(' '));
    t.match(stderr, words, argv.join(' '));
    t.notMatch(stderr, /at .*\.[jt]s:\d/, 'a foreseen refusal has no stack');
  }
  t.same(readdirSync(pki).sort(), ['ca.crt', 'ca.key']);
});
