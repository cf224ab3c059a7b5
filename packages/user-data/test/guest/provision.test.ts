// SPDX-License-Identifier: Apache-2.0
// From user-data to files: all of it is checked before any of it is written.
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { sleep } from '@peerpod-tls/base';
import { createLogger } from '@peerpod-tls/daemon';
import t from 'tap';
import { renderApf } from '../../src/apf.js';
import { renderCloudConfig } from '../../src/cloud-config.js';
import { GUEST_PATHS } from '../../src/guest-paths.js';
import { provisionFiles } from '../../src/guest/provision.js';
import { EMPTY_INITDATA, renderInitdata } from '../../src/initdata.js';
import { fileSource } from '../../src/guest/sources/file.js';
import type { UserDataSource } from '../../src/guest/sources/source.js';

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
    userData: string | UserDataSource | null,
    timeoutMs = 10_000,
    signal = new AbortController().signal,
  ) => {
    const source =
      typeof userData === 'string'
        ? { describe: 'a test', read: async () => Buffer.from(userData) }
        : userData;
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
    { path: GUEST_PATHS.digest, bytes: 64 },
    { path: GUEST_PATHS.initdata, bytes: renderInitdata(EMPTY_INITDATA).length },
    { path: GUEST_PATHS.aa, bytes: 3 },
  ]);
  t.equal(readFileSync(join(root, GUEST_PATHS.aa), 'utf8'), 'aa\n', 'not emptied for want of initdata');
  t.strictSame(report.skipped, ['/etc/passwd', GUEST_PATHS.policy, GUEST_PATHS.digest]);
  t.equal(readFileSync(join(root, GUEST_PATHS.apf), 'utf8'), `${apf}\n`);
  t.strictSame(readdirSync(root), ['run']);
  t.strictSame(readdirSync(join(root, 'run/peerpod')).sort(), [
    'aa.toml',
    'apf.json',
    'initdata',
    'initdata.digest',
    'scratch-space.marker',
  ]);
  t.equal(lines.filter(line => line.includes('file left out')).length, 3);
  t.notMatch(lines.join(''), /SECRET/);
});

t.test('user-data with anything wrong writes nothing', async t => {
  const good = { path: GUEST_PATHS.auth, content: '{}' };
  const rows: readonly [string | Buffer, string][] = [
    [renderCloudConfig([good, { path: GUEST_PATHS.apf, content: apf.slice(0, -20) }]), 'ERR_USER_DATA_APF'],
    [renderCloudConfig([good, { path: GUEST_PATHS.apf, content: '' }]), 'ERR_USER_DATA_APF'],
    [`${renderCloudConfig([good])}runcmd: []\n`, 'ERR_USER_DATA_KEY'],
    [`${renderCloudConfig([good])}  - path: /run/../etc/x\n`, 'ERR_USER_DATA_PATH'],
    [`${renderCloudConfig([good])}  - path: ${good.path}\n`, 'ERR_USER_DATA_PATH'],
    ['', 'ERR_USER_DATA_FORMAT'],
    [renderCloudConfig([{ path: GUEST_PATHS.auth, content: '{"auths":{"h"' }]), 'ERR_USER_DATA_AUTH'],
    [
      renderCloudConfig([good, { path: GUEST_PATHS.initdata, content: 'bm8gZ3ppcA==' }]),
      'ERR_USER_DATA_INITDATA',
    ],
    [
      renderCloudConfig([
        good,
        {
          path: GUEST_PATHS.initdata,
          content: renderInitdata(`${EMPTY_INITDATA}"./aa.toml" = ""\n`),
        },
      ]),
      'ERR_USER_DATA_PATH',
    ],
    [Buffer.from([0x23, 0xff, 0xfe]), 'ERR_USER_DATA_FORMAT'],
    [Buffer.alloc(2_000_000, '#'), 'ERR_USER_DATA_TOO_LARGE'],
  ];
  for (const [userData, code] of rows) {
    const { root, run } = setUp(t);
    await t.rejects(run({ describe: 'a test', read: async () => Buffer.from(userData) }), { code }, code);
    t.strictSame(readdirSync(root), []);
  }
});

t.test('odd things in apf.json that a forwarder reads over are warned of', async t => {
  const { lines, run } = setUp(t);
  await run(renderCloudConfig([{ path: GUEST_PATHS.apf, content: '{"pod-name":"p","new-key":1} more' }]));
  t.match(lines.join(''), /"keys":\["new-key"\].*unknown keys/);
  t.match(lines.join(''), /"trailingBytes":4/);
});

t.test('user-data without apf.json is written, with a warning', async t => {
  const { root, lines, run } = setUp(t);
  await run(renderCloudConfig([{ path: GUEST_PATHS.auth, content: '{}' }]));
  t.ok(existsSync(join(root, GUEST_PATHS.auth)));
  t.match(lines.join(''), /user-data without forwarder configuration/);
});

t.test('wherever user-data is cut, no file has a part of its content', async t => {
  const whole: Readonly<Record<string, string>> = {
    [GUEST_PATHS.apf]: `${apf}\n`,
    [GUEST_PATHS.auth]: `${JSON.stringify({ auths: { h: { auth: 'dTpw' } } })}\n`,
    [GUEST_PATHS.initdata]: `${renderInitdata(`${EMPTY_INITDATA}# of a pod\n`)}\n`,
  };
  const userData = renderCloudConfig(Object.entries(whole).map(([path, content]) => ({ path, content })));
  const { root, run } = setUp(t);
  let refused = 0;
  for (let length = userData.length - 1; length >= 0; length -= 3) {
    let report: Awaited<ReturnType<typeof run>>;
    try {
      report = await run(userData.slice(0, length));
    } catch (error) {
      t.match(error, { code: /^ERR_USER_DATA_/ });
      refused += 1;
      continue;
    }
    for (const { path, bytes } of report.written.filter(file => file.path in whole && file.bytes > 0)) {
      // What no longer is in the user-data is written anew, as a stand-in.
      if (path === GUEST_PATHS.initdata && !userData.slice(0, length).includes(path)) continue;
      const found = readFileSync(join(root, path), 'utf8').trimEnd();
      t.equal(found, whole[path]?.trimEnd(), `${path} at ${length}, ${bytes} bytes`);
    }
    rmSync(join(root, 'run'), { recursive: true });
  }
  t.ok(refused > userData.length / 6, `${refused} cuts were refused`);
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

t.test('user-data that comes late is written', async t => {
  const { root, run } = setUp(t);
  const running = run(fileSource(join(root, 'user-data')));
  await sleep(150);
  writeFileSync(join(root, 'user-data'), renderCloudConfig([{ path: GUEST_PATHS.apf, content: apf }]));
  t.equal((await running).written[0]?.path, GUEST_PATHS.apf);
});

t.test('told to stop, it stops with that reason and writes nothing', async t => {
  const { root, run } = setUp(t);
  const stop = new AbortController();
  const running = run(fileSource(join(root, 'never')), 10_000, stop.signal);
  stop.abort(new Error('told to'));
  await t.rejects(running, { message: 'told to' });
  t.strictSame(readdirSync(root), []);
});

const withInitdata = (data: string, version = '0.1.0'): string =>
  renderInitdata(`algorithm = "sha384"\nversion = "${version}"\n\n[data]\n${data}`);

t.test('initdata becomes its files and its digest, and goes before files of the user-data', async t => {
  const { root, lines, run } = setUp(t);
  const packed = withInitdata(
    `"aa.toml" = "kbc"\n"cdh.toml" = '''\nSECRET\n'''\n"policy.rego" = "allow"\n"../../etc/passwd" = "x"\n`,
  );
  const report = await run(
    renderCloudConfig([
      { path: GUEST_PATHS.aa, content: 'other' },
      { path: GUEST_PATHS.initdata, content: packed.replaceAll(/.{40}/g, '$&\n') },
      { path: GUEST_PATHS.apf, content: apf },
    ]),
  );
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  t.equal(read(GUEST_PATHS.aa), 'kbc');
  t.equal(read(GUEST_PATHS.cdh), 'SECRET\n');
  t.equal(read(GUEST_PATHS.policy), 'allow');
  t.equal(read(GUEST_PATHS.initdata).replaceAll('\n', ''), packed);
  const toml = gunzipSync(Buffer.from(packed, 'base64'));
  t.equal(read(GUEST_PATHS.digest), createHash('sha384').update(toml).digest('hex'));
  t.equal(report.digest, read(GUEST_PATHS.digest));
  t.equal(report.written.at(-1)?.path, GUEST_PATHS.aa);
  t.strictSame(readdirSync(root), ['run']);
  t.match(lines.join(''), /"entries":\["..\/..\/etc\/passwd"\].*left out/);
  t.match(lines.join(''), /aa.toml".*replaced by that of the initdata/);
  t.notMatch(lines.join(''), /SECRET|kbc/);
});

t.test(
  'initdata without aa.toml is reported, and an empty one keeps the boot from waiting for ever',
  async t => {
    const { root, lines, run } = setUp(t);
    await run(
      renderCloudConfig([{ path: GUEST_PATHS.initdata, content: withInitdata('"cdh.toml" = "x"\n') }]),
    );
    t.equal(readFileSync(join(root, GUEST_PATHS.aa), 'utf8'), '');
    t.match(lines.join(''), /initdata without aa.toml/);
  },
);

t.test('initdata that is bad leaves good user-data unwritten', async t => {
  for (const content of [withInitdata('', '0.2.0'), renderInitdata(Buffer.alloc(5_000_000)), 'H4sI']) {
    const { root, run } = setUp(t);
    await t.rejects(
      run(
        renderCloudConfig([
          { path: GUEST_PATHS.apf, content: apf },
          { path: GUEST_PATHS.initdata, content },
        ]),
      ),
      { code: /ERR_USER_DATA_(?:INITDATA|TOO_LARGE)/ },
    );
    t.strictSame(readdirSync(root), []);
  }
});

t.test('a second run finds what the first has written, and changes nothing', async t => {
  const { root, run } = setUp(t);
  const userData = renderCloudConfig([
    { path: GUEST_PATHS.apf, content: apf },
    { path: GUEST_PATHS.aa, content: 'mine' },
  ]);
  const all = (): string[] =>
    readdirSync(join(root, 'run/peerpod')).map(
      name => `${name}: ${readFileSync(join(root, 'run/peerpod', name), 'utf8')}`,
    );
  await run(userData);
  const first = all();
  await run(userData);
  t.strictSame(all(), first);
  t.ok(first.includes('aa.toml: mine\n'));
});

t.test('where cloud-init has written the files, initdata alone is handled', async t => {
  const { root, lines, run } = setUp(t);
  mkdirSync(join(root, 'run/peerpod'), { recursive: true });
  writeFileSync(join(root, GUEST_PATHS.apf), apf);
  writeFileSync(join(root, GUEST_PATHS.initdata), `${withInitdata('"aa.toml" = "kbc"\n')}\n`);
  await run(null);
  t.equal(readFileSync(join(root, GUEST_PATHS.apf), 'utf8'), apf);
  t.equal(readFileSync(join(root, GUEST_PATHS.aa), 'utf8'), 'kbc');
  t.match(readFileSync(join(root, GUEST_PATHS.digest), 'utf8'), /^[\da-f]{96}$/);
  t.notMatch(lines.join(''), /without forwarder configuration/);

  rmSync(join(root, GUEST_PATHS.initdata));
  symlinkSync('/etc/passwd', join(root, GUEST_PATHS.initdata));
  await t.rejects(run(null), { code: 'ERR_USER_DATA_UNSAFE_PATH' });
  rmSync(join(root, GUEST_PATHS.initdata));
  writeFileSync(join(root, GUEST_PATHS.initdata), Buffer.alloc(1_048_577, 'A'));
  await t.rejects(run(null), { code: 'ERR_USER_DATA_TOO_LARGE', message: /initdata has over 1048576 bytes/ });
});

t.test(
  'what a source says on the way is logged once each, and is in the message when time is over',
  async t => {
    const { lines, run } = setUp(t);
    const source: UserDataSource = {
      describe: 'a cloud',
      async read(signal, onTrouble) {
        for (const trouble of ['a', 'a', 'b', 'b']) onTrouble?.(`answered ${trouble}`);
        await sleep(60_000, signal);
        return Buffer.alloc(0);
      },
    };
    await t.rejects(run(source, 50), {
      code: 'ERR_USER_DATA_TIMEOUT',
      message: 'no user-data came from a cloud within 0.05 s; at last answered b',
    });
    t.equal(lines.filter(line => line.includes('"level":"warn"')).length, 2);
  },
);
