// SPDX-License-Identifier: Apache-2.0
// From a letter to files: all of it is checked before any of it is written.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@peerpod-tls/daemon';
import t from 'tap';
import { renderApf } from '../src/apf.js';
import { renderCloudConfig } from '../src/cloud-config.js';
import { GUEST_PATHS } from '../src/guest-paths.js';
import { provisionFiles } from '../src/provision.js';
import { fileSource, type UserDataSource } from '../src/source.js';

interface Scope {
  teardown(fn: () => unknown): void;
}

function setUp(t: Scope) {
  const root = mkdtempSync(join(tmpdir(), 'provision-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const lines: string[] = [];
  const log = createLogger({
    name: 'test',
    level: 'trace',
    destination: { write: line => void lines.push(line) },
  });
  const run = (
    letter: string | UserDataSource,
    timeoutMs = 10_000,
    signal = new AbortController().signal,
  ) => {
    const source =
      typeof letter === 'string' ? { describe: 'a test', read: async () => Buffer.from(letter) } : letter;
    return provisionFiles({ source, root, log, signal, timeoutMs });
  };
  return { root, lines, run };
}

const apf = renderApf({ podNetwork: {}, podNamespace: 'ns', podName: 'pod', tlsServerKey: 'SECRET' });

t.test('listed files are written, others left out and named, the one that starts the units last', async t => {
  const { root, lines, run } = setUp(t);
  const report = await run(
    renderCloudConfig([
      { path: GUEST_PATHS.aa, content: 'aa' },
      { path: GUEST_PATHS.apf, content: apf },
      { path: '/etc/passwd', content: 'root::0:0' },
      { path: GUEST_PATHS.policy, content: 'allow' },
      { path: GUEST_PATHS.digest, content: 'no' },
      { path: GUEST_PATHS.scratchSpace, content: '' },
    ]),
  );
  t.strictSame(report.written, [
    { path: GUEST_PATHS.apf, bytes: apf.length + 1 },
    { path: GUEST_PATHS.scratchSpace, bytes: 0 },
    { path: GUEST_PATHS.aa, bytes: 3 },
  ]);
  t.strictSame(report.skipped, ['/etc/passwd', GUEST_PATHS.policy, GUEST_PATHS.digest]);
  t.equal(readFileSync(join(root, GUEST_PATHS.apf), 'utf8'), `${apf}\n`);
  t.strictSame(readdirSync(root), ['run']);
  t.strictSame(readdirSync(join(root, 'run/peerpod')).sort(), [
    'aa.toml',
    'apf.json',
    'scratch-space.marker',
  ]);
  t.equal(lines.filter(line => line.includes('file left out')).length, 3);
  t.notMatch(lines.join(''), /SECRET/);
});

t.test('a letter with anything wrong writes nothing', async t => {
  const good = { path: GUEST_PATHS.auth, content: '{}' };
  const rows: readonly [string | Buffer, string][] = [
    [renderCloudConfig([good, { path: GUEST_PATHS.apf, content: apf.slice(0, -20) }]), 'ERR_USER_DATA_APF'],
    [renderCloudConfig([good, { path: GUEST_PATHS.apf, content: '' }]), 'ERR_USER_DATA_APF'],
    [`${renderCloudConfig([good])}runcmd: []\n`, 'ERR_USER_DATA_KEY'],
    [`${renderCloudConfig([good])}  - path: /run/../etc/x\n`, 'ERR_USER_DATA_PATH'],
    [`${renderCloudConfig([good])}  - path: ${good.path}\n`, 'ERR_USER_DATA_PATH'],
    ['', 'ERR_USER_DATA_FORMAT'],
    [Buffer.from([0x23, 0xff, 0xfe]), 'ERR_USER_DATA_FORMAT'],
    [Buffer.alloc(2_000_000, '#'), 'ERR_USER_DATA_TOO_LARGE'],
  ];
  for (const [letter, code] of rows) {
    const { root, run } = setUp(t);
    await t.rejects(run({ describe: 'a test', read: async () => Buffer.from(letter) }), { code }, code);
    t.strictSame(readdirSync(root), []);
  }
});

t.test('odd things in apf.json that a forwarder reads over are warned of', async t => {
  const { lines, run } = setUp(t);
  await run(renderCloudConfig([{ path: GUEST_PATHS.apf, content: '{"pod-name":"p","new-key":1} more' }]));
  t.match(lines.join(''), /"keys":\["new-key"\].*unknown keys/);
  t.match(lines.join(''), /"trailingBytes":4/);
});

t.test('a letter without apf.json is written, with a warning', async t => {
  const { root, lines, run } = setUp(t);
  await run(renderCloudConfig([{ path: GUEST_PATHS.auth, content: '{}' }]));
  t.ok(existsSync(join(root, GUEST_PATHS.auth)));
  t.match(lines.join(''), /letter without forwarder configuration/);
});

t.test('when nothing comes in time, it says from where and what to do', async t => {
  const { root, run } = setUp(t);
  const path = join(root, 'never');
  await t.rejects(run(fileSource(path), 100), {
    code: 'ERR_USER_DATA_TIMEOUT',
    message: `no user-data came from the file ${path} within 0.1 s`,
    hint: /-user-data-fetch-timeout/,
  });
});

t.test('a letter that comes late is written', async t => {
  const { root, run } = setUp(t);
  const running = run(fileSource(join(root, 'letter')));
  await sleep(150);
  writeFileSync(join(root, 'letter'), renderCloudConfig([{ path: GUEST_PATHS.apf, content: apf }]));
  t.equal((await running).written.length, 1);
});

t.test('told to stop, it stops with that reason and writes nothing', async t => {
  const { root, run } = setUp(t);
  const stop = new AbortController();
  const running = run(fileSource(join(root, 'never')), 10_000, stop.signal);
  stop.abort(new Error('told to'));
  await t.rejects(running, { message: 'told to' });
  t.strictSame(readdirSync(root), []);
});
