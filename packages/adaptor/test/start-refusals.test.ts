// SPDX-License-Identifier: Apache-2.0
// What stops an adaptor at start, in words, and that nothing serves after a refusal.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { proxyService } from '@peerpod-tls/agent-protocol';
import { Authority } from '@peerpod-tls/certs';
import { clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import { Adaptor } from '../src/adaptor.js';
import { openIdentityFiles } from '../../trust/src/identity-files.js';
import { dialHypervisor } from '../../../test/kit/shim.js';
import { PORT, annotations, captureLog, eventually, optionsIn, startRig, temporary } from './kit/adaptor.js';
import {
  flagsOf,
  manualSet,
  tomorrow,
  withOddDate,
  writeManual,
  yesterday,
} from '../../trust/test/kit/certificates.js';
import { TestProvider } from './kit/provider.js';

interface Expected {
  readonly message: RegExp;
  readonly code?: string;
  readonly hint?: RegExp;
}

/** Starts an adaptor that must refuse, and checks that neither its socket nor its status answers. */
async function refuses(
  t: Test,
  directory: string,
  flags: readonly string[],
  wanted: Expected,
  name: string,
): Promise<void> {
  const provider = new TestProvider(PORT);
  const options = optionsIn(directory, provider, flags);
  const adaptor = new Adaptor({ options, provider, log: captureLog().log });
  await t.rejects(adaptor.start(new AbortController().signal), wanted, name);
  t.notOk(existsSync(options.socket), 'no hypervisor socket');
  await adaptor.close();
  if (adaptor.statusAddress !== '')
    await t.rejects(fetch(`http://${adaptor.statusAddress}/healthz`), 'no status');
}

t.test('certificate files in every wrong state stop the start, naming the file and its flag', async t => {
  const directory = temporary(t);
  const good = await manualSet(directory);
  const other = await Authority.create({});
  const stranger = await other.issue('client', {});
  const server = await good.authority.issue('server', { names: ['podvm-server'] });
  const old = await Authority.create({ now: yesterday() });
  const expired = await old.issue('client', { now: yesterday(), lifetimeDays: 1 });
  const early = await Authority.create({ now: tomorrow() });
  const unborn = await early.issue('client', { now: tomorrow() });
  const write = (ca: string, cert: string, key: string) => (): void =>
    void writeManual(directory, ca, cert, key);
  const reset = write(good.ca, good.cert, good.key);
  const rows: readonly [string, () => void, Expected][] = [
    ['CA missing', () => rmSync(good.files.ca), { message: /ca\.crt.*-ca-cert-file/ }],
    ['certificate missing', () => rmSync(good.files.cert), { message: /client\.crt.*-cert-file/ }],
    ['key missing', () => rmSync(good.files.key), { message: /client\.key.*-cert-key/ }],
    ['CA empty', write('', good.cert, good.key), { message: /ca\.crt.*-ca-cert-file/ }],
    ['CA is a key', write(good.key, good.cert, good.key), { message: /ca\.crt.*-ca-cert-file/ }],
    [
      'CA is no certificate',
      write('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', good.cert, good.key),
      { message: /ca\.crt.*-ca-cert-file/ },
    ],
    [
      'certificate cut short',
      write(good.ca, good.cert.slice(0, 300), good.key),
      { message: /client\.crt.*-cert-file/ },
    ],
    ['certificate is text', write(good.ca, 'hello', good.key), { message: /client\.crt.*-cert-file/ }],
    [
      'key cut short',
      write(good.ca, good.cert, good.key.slice(0, 100)),
      { message: /client\.key.*-cert-key/ },
    ],
    [
      'key of another',
      write(good.ca, good.cert, stranger.keyPem),
      { code: 'ERR_CERT_KEY_MISMATCH', message: /client\.key.*client\.crt/ },
    ],
    [
      'a server certificate',
      write(good.ca, server.certPem, server.keyPem),
      { code: 'ERR_CERT_WRONG_PURPOSE', message: /-cert-file/ },
    ],
    [
      'expired',
      write(old.certPem, expired.certPem, expired.keyPem),
      { code: 'ERR_CERT_EXPIRED', message: /-cert-file/ },
    ],
    [
      'a date with a sixtieth second',
      write(good.ca, withOddDate(good.cert), good.key),
      { message: /client\.crt.*-cert-file.*notAfter/ },
    ],
    [
      'not yet valid',
      write(good.ca, unborn.certPem, unborn.keyPem),
      { code: 'ERR_CERT_NOT_YET_VALID', message: /-cert-file/ },
    ],
    [
      'a directory',
      () => {
        rmSync(good.files.cert);
        mkdirSync(good.files.cert);
      },
      { message: /client\.crt.*-cert-file/ },
    ],
  ];
  for (const [name, spoil, wanted] of rows) {
    reset();
    spoil();
    await refuses(t, directory, flagsOf(good.files), wanted, name);
    rmSync(good.files.cert, { recursive: true, force: true });
  }
});

t.test('one anchor with a date nobody can read, among good ones, is told and left out', async t => {
  const directory = temporary(t);
  const set = await manualSet(directory);
  const odd = withOddDate((await Authority.create({ subject: { O: 'odd' } })).certPem);
  writeManual(directory, odd + set.ca, set.cert, set.key);
  const provider = new TestProvider(PORT);
  provider.vmOptions = { image: set.image };
  const rig = await startRig(t, { directory, provider, flags: flagsOf(set.files) });
  t.match(
    rig.log.lines().filter(line => line.msg === 'certificates have a flaw'),
    [{ level: 'warn', warning: /anchor 1.*ca\.crt.*-ca-cert-file.*O=odd.*notAfter/ }],
  );
  await rig.hypervisor.CreateVM({ id: 'odd', annotations: annotations(), networkNamespacePath: '' });
  await rig.hypervisor.StartVM({ id: 'odd' });
  const metrics = await (await fetch(`http://${rig.adaptor.statusAddress}/metrics`)).text();
  t.match(metrics, /peerpod_certificate_expiry_seconds\{kind="bundle"\} \d/);
});

t.test('only one adaptor uses a state directory', async t => {
  const rig = await startRig(t);
  const provider = new TestProvider(PORT);
  const options = optionsIn(rig.directory, provider, [
    `-socket=${path.join(rig.directory, 'other.sock')}`,
    '-takeover-timeout=0s',
  ]);
  const second = new Adaptor({ options, provider, log: captureLog().log });
  await t.rejects(second.start(new AbortController().signal), {
    code: 'ERR_ADAPTOR_STATE_IN_USE',
    message: /another adaptor is using the state directory/,
    hint: /-state-dir/,
  });
  await second.close();
  await t.resolves(rig.hypervisor.Version({}), 'the first goes on');
});

t.test('an adaptor of another network namespace is seen by the lock in the directory', async t => {
  const directory = temporary(t);
  const { stateDir } = optionsIn(directory, new TestProvider(PORT), []);
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const other = createServer().listen(path.join(stateDir, 'lock'));
  t.teardown(() => other.close());
  await refuses(
    t,
    directory,
    ['-takeover-timeout=0s'],
    { code: 'ERR_ADAPTOR_STATE_IN_USE', message: /another adaptor is using the state directory/ },
    'it cannot see the abstract socket',
  );
});

t.test(
  'a second adaptor stands by until the first has ended, and no longer than -takeover-timeout',
  async t => {
    const rig = await startRig(t);
    const second = new Adaptor({
      options: rig.again(['-takeover-timeout=20s']),
      provider: rig.provider,
      log: captureLog().log,
    });
    t.teardown(() => second.close());
    const started = second.start(new AbortController().signal);
    t.ok(await eventually(() => second.statusAddress !== ''));
    const get = async (what: string): Promise<string> => {
      const answer = await fetch(`http://${second.statusAddress}${what}`);
      return `${answer.status} ${await answer.text()}`;
    };
    t.match(await get('/startup'), /^200 standby: waiting/, 'which is what a rolling update waits for');
    t.match(await get('/readyz'), /^503 standby/);
    const patient = captureLog();
    const third = new Adaptor({
      options: rig.again(['-takeover-timeout=300ms']),
      provider: rig.provider,
      log: patient.log,
    });
    await t.rejects(third.start(new AbortController().signal), {
      code: 'ERR_ADAPTOR_STATE_IN_USE',
      message: /did not end within 300ms/,
      hint: /-takeover-timeout/,
    });
    t.match(patient.lines()[0], { level: 'warn', takeoverTimeout: '300ms', msg: /waiting for it to end/ });
    await third.close();
    const ended = new AbortController();
    const fourth = new Adaptor({
      options: rig.again([]),
      provider: rig.provider,
      log: captureLog().log,
    });
    const waiting = fourth.start(ended.signal);
    ended.abort(new Error('told to stop'));
    await t.rejects(waiting, { message: 'told to stop' });
    await fourth.close();
    await rig.close();
    await started;
    t.match(await get('/startup'), /^200 started/);
    const shim = await dialHypervisor(rig.options.socket);
    await t.resolves(shim.hypervisor.Version({}), 'the socket is its own now');
    shim.client.close();
  },
);

t.test('a socket path another program holds is refused, and stays theirs', async t => {
  const directory = temporary(t);
  const socket = path.join(directory, 'h.sock');
  const server = createServer();
  await new Promise<void>(resolve => server.listen(socket, resolve));
  const provider = new TestProvider(PORT);
  const adaptor = new Adaptor({ options: optionsIn(directory, provider), provider, log: captureLog().log });
  await t.rejects(adaptor.start(new AbortController().signal), {
    code: 'ERR_ADAPTOR_SOCKET_IN_USE',
    message: /h\.sock/,
    hint: /-socket/,
  });
  await adaptor.close();
  t.ok(existsSync(socket), 'it is still theirs');
  await new Promise(resolve => server.close(resolve));
  writeFileSync(socket, 'a file');
  const again = new Adaptor({ options: optionsIn(directory, provider), provider, log: captureLog().log });
  await t.rejects(again.start(new AbortController().signal), {
    code: 'ERR_ADAPTOR_PROXY_START',
    message: /h\.sock .*no socket/,
    hint: /proxy\.log/,
  });
  await again.close();
  t.equal(readFileSync(socket, 'utf8'), 'a file');
});

t.test('a proxy of somebody else that takes no new sandbox is refused', async t => {
  const rig = await startRig(t);
  await rig.close();
  const client = await connectUnix(path.join(rig.directory, 'proxy', 'control.sock'));
  await clientOf(proxyService, client).Retire({});
  client.close();
  const adaptor = new Adaptor({ options: rig.again([]), provider: rig.provider, log: captureLog().log });
  await t.rejects(adaptor.start(new AbortController().signal), {
    code: 'ERR_ADAPTOR_PROXY_RETIRED',
    message: /control\.sock/,
    hint: /-proxy-socket/,
  });
  await adaptor.close();
});

t.test('directories others could change are refused', async t => {
  const directory = temporary(t);
  mkdirSync(path.join(directory, 'pods'));
  chmodSync(path.join(directory, 'pods'), 0o777);
  await refuses(
    t,
    directory,
    [],
    { code: 'ERR_ADAPTOR_PODS_DIR', message: /-pods-dir/, hint: /chmod/ },
    'pods',
  );
  chmodSync(path.join(directory, 'pods'), 0o755);
  symlinkSync(directory, path.join(directory, 'link'));
  await refuses(
    t,
    directory,
    [`-state-dir=${path.join(directory, 'link')}`],
    { code: 'ERR_ADAPTOR_STATE_DIR', message: /-state-dir/ },
    'link',
  );
});

t.test("a broken or expired identity is refused and never replaced behind anybody's back", async t => {
  const directory = temporary(t);
  const state = path.join(directory, 'pods', '.state');
  mkdirSync(state, { recursive: true, mode: 0o700 });
  await openIdentityFiles(state, 'ecdsa-p256');
  const key = path.join(state, 'identity', 'ca.key');
  const before = readFileSync(key, 'utf8');
  writeFileSync(key, before.slice(0, 60));
  await refuses(
    t,
    directory,
    [],
    { code: 'ERR_TRUST_IDENTITY', message: /identity/, hint: /restore/ },
    'cut key',
  );
  rmSync(key);
  await refuses(t, directory, [], { code: 'ERR_TRUST_IDENTITY', message: /ca\.key/ }, 'lost key');
  rmSync(path.join(state, 'identity'), { recursive: true });
  await openIdentityFiles(state, 'ecdsa-p256', new Date(Date.now() - 1824 * 86_400_000));
  const rig = await startRig(t, { directory });
  t.match(
    rig.log.lines().filter(line => line.msg === 'certificate expires soon'),
    [{ kind: 'ca' }, { kind: 'client' }],
  );
  await rig.close();
  t.match(rig.log.text(), /"days":0/);
});

t.test('an expired identity is refused with the way out', async t => {
  const directory = temporary(t);
  const long = new Date(Date.now() - 1900 * 86_400_000);
  await t.rejects(
    openIdentityFiles(directory, 'ecdsa-p256', long).then(() => openIdentityFiles(directory, 'ecdsa-p256')),
    {
      code: 'ERR_TRUST_IDENTITY_EXPIRED',
      message: /expired/,
      hint: /move .*identity away/,
    },
  );
});
