// SPDX-License-Identifier: Apache-2.0
// process-user-data as a program on everything bad that a pod VM may find at boot: what the console says, that no file is
// written and nothing of the user-data shown, and that good user-data is taken afterwards.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { renderApf } from '../../src/apf.js';
import { MAX_USER_DATA_BYTES, renderCloudConfig } from '../../src/cloud-config.js';
import { GUEST_PATHS } from '../../src/guest-paths.js';
import { EMPTY_INITDATA, renderInitdata } from '../../src/initdata.js';

const BIN = new URL('../../bin/process-user-data.js', import.meta.url).pathname;
const SECRET = 'S3CR3T';

async function provision(root: string, ...flags: readonly string[]) {
  // Without the loaders that the test runner gives to every Node.js it sees started.
  const child = spawn(
    'env',
    ['-u', 'NODE_OPTIONS', process.execPath, BIN, 'provision-files', '-root', root, ...flags],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code: Number(code), output: stdout + stderr };
}

function guest(t: Test): { readonly root: string; readonly seed: string } {
  const root = mkdtempSync(path.join(tmpdir(), 'pub-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(path.join(root, 'media/cidata'), { recursive: true });
  return { root, seed: path.join(root, 'media/cidata/user-data') };
}

const apf = renderApf({ podNetwork: null, podNamespace: 'd', podName: 'p', tlsServerKey: SECRET });
const good = renderCloudConfig([{ path: GUEST_PATHS.apf, content: apf }]);
const withInitdata = (content: string): string =>
  renderCloudConfig([
    { path: GUEST_PATHS.apf, content: apf },
    { path: GUEST_PATHS.initdata, content },
  ]);

const rows: readonly { readonly name: string; readonly userData: string; readonly says: RegExp }[] = [
  {
    name: 'user-data too large',
    userData: good + ' '.repeat(MAX_USER_DATA_BYTES),
    says: /\d{7} bytes?.*1048576|more than 1048576/,
  },
  { name: 'YAML cut within its file', userData: good.slice(0, -30), says: /apf\.json is not JSON/ },
  {
    name: 'YAML cut within a string',
    userData: `#cloud-config\nwrite_files: [{path: ${GUEST_PATHS.apf}, content: "${SECRET}`,
    says: /line 2 of the user-data/,
  },
  { name: 'a key nobody knows', userData: `${good}runcmd: [${SECRET}]\n`, says: /a key "runcmd"/ },
  {
    name: 'permissions, which only cloud-init knows',
    userData: `#cloud-config\nwrite_files: [{path: ${GUEST_PATHS.apf}, permissions: '0777', content: ${SECRET}}]`,
    says: /a key "permissions"/,
  },
  {
    name: 'a path with a way up',
    userData: `${good}  - path: /run/peerpod/../../etc/shadow\n    content: ${SECRET}\n`,
    says: /not a plain path/,
  },
  {
    name: 'a bomb of initdata',
    userData: withInitdata(renderInitdata(Buffer.alloc(100_000_000))),
    says: /initdata.*(?:2097152|too large|more than)/,
  },
  {
    name: 'initdata as plain TOML',
    userData: withInitdata(`${EMPTY_INITDATA}"aa.toml" = "${SECRET}"\n`),
    says: /is not base64/,
  },
  {
    name: 'user-data in base64, which this source gives plain',
    userData: Buffer.from(good).toString('base64'),
    says: /looks like base64/,
  },
];

t.test('bad user-data is named, writes nothing and shows nothing; the next one is taken', async t => {
  const { root, seed } = guest(t);
  for (const { name, userData, says } of rows) {
    writeFileSync(seed, userData);
    const { code, output } = await provision(root, '-t', '5');
    t.equal(code, 1, name);
    t.match(output, says, name);
    t.notMatch(output, new RegExp(`${SECRET}|\\n {4}at `), `${name}: neither content nor stack`);
    t.notOk(existsSync(path.join(root, 'run')), `${name}: no file`);
  }
  writeFileSync(seed, good);
  t.equal((await provision(root, '-t', '5')).code, 0);
  t.match(readdirSync(path.join(root, 'run/peerpod')), ['aa.toml', 'apf.json']);
});

t.test('a file of the system and a link out of the guest’s directory are not written', async t => {
  const { root, seed } = guest(t);
  const extra = { path: '/etc/shadow', content: SECRET };
  writeFileSync(seed, renderCloudConfig([{ path: GUEST_PATHS.apf, content: apf }, extra]));
  const left = await provision(root, '-t', '5');
  t.equal(left.code, 0, 'others than the listed ones are left out');
  t.match(left.output, /\/etc\/shadow/, 'and named');
  t.notOk(existsSync(path.join(root, 'etc')));

  const trapped = guest(t);
  const elsewhere = guest(t).root;
  writeFileSync(trapped.seed, good);
  mkdirSync(path.join(trapped.root, 'run'), { mode: 0o755 });
  symlinkSync(elsewhere, path.join(trapped.root, 'run/peerpod'));
  const refused = await provision(trapped.root, '-t', '5');
  t.equal(refused.code, 1);
  t.match(refused.output, /run\/peerpod/);
  t.same(readdirSync(elsewhere), ['media'], 'nothing behind the link');
});

t.test('no seed disk and no cloud: it says where it looked and for how long', async t => {
  const { root } = guest(t);
  const { code, output } = await provision(root, '-t', '1');
  t.equal(code, 1);
  t.match(output, /no user-data came from .*\/media\/cidata\/user-data.* within 1 s/);
  t.match(output, /-user-data-fetch-timeout/);
});

t.test('a guest without room keeps what it has, and says so', async t => {
  const { root, seed } = guest(t);
  const run = path.join(root, 'run');
  mkdirSync(run);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k,mode=755', 'tmpfs', run]).status !== 0) {
    t.plan(0, 'this process may not mount a tmpfs');
    return;
  }
  t.teardown(() => spawnSync('umount', [run]));
  writeFileSync(
    seed,
    renderCloudConfig([{ path: GUEST_PATHS.auth, content: JSON.stringify({ a: 'x'.repeat(11_000) }) }]),
  );
  writeFileSync(path.join(run, 'filler'), Buffer.alloc(8192));
  const { code, output } = await provision(root, '-t', '5');
  t.equal(code, 1);
  t.match(output, /disk is full/);
  t.same(readdirSync(path.join(run, 'peerpod')), []);
});
