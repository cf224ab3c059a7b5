// SPDX-License-Identifier: Apache-2.0
// The commands of process-user-data: what a person reads, and the exit code.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { renderCloudConfig } from '../../src/cloud-config.js';
import { main } from '../../src/guest/main.js';
import { serve } from '../kit/metadata-server.js';

async function run(...argv: readonly string[]) {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
  const code = await main(argv, { LOG_LEVEL: 'silent' }, streams);
  return { code, stdout: String(streams.stdout.read() ?? ''), stderr: String(streams.stderr.read() ?? '') };
}

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'pud-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('without a command, and with help, it shows the commands and ends with 0', async t => {
  for (const argv of [[], ['help'], ['-h'], ['--help']]) {
    t.match(await run(...argv), { code: 0, stdout: /^Usage: process-user-data provision-files/, stderr: '' });
  }
  t.match(await run('provision-files', '-h'), {
    code: 0,
    stdout: /-t, -user-data-fetch-timeout SECONDS[^]*\(default 180\)/,
    stderr: '',
  });
});

t.test('version prints the block', async t => {
  for (const word of ['version', '-v', '-V', '-version', '--version']) {
    t.match(await run(word), { code: 0, stdout: /^process-user-data version \d/ });
  }
});

t.test('left out, the source is the seed file below the root', async t => {
  const root = directory();
  mkdirSync(join(root, 'media/cidata'), { recursive: true });
  writeFileSync(
    join(root, 'media/cidata/user-data'),
    renderCloudConfig([{ path: '/run/peerpod/auth.json', content: '{}' }]),
  );
  t.match(await run('provision-files', '-root', root, '-t', '20'), { code: 0 });
  t.ok(existsSync(join(root, 'run/peerpod/auth.json')));
});

t.test('the machine says which cloud to ask; -source says it instead', async t => {
  const userData = renderCloudConfig([{ path: '/run/peerpod/auth.json', content: '{}' }]);
  const { endpoint, seen } = await serve(t, ({ method }, response) => {
    response.end(method === 'PUT' ? 'token' : userData);
  });
  const at = ['-metadata-endpoint', endpoint.href];
  const detected = directory();
  mkdirSync(join(detected, 'sys/class/dmi/id'), { recursive: true });
  writeFileSync(join(detected, 'sys/class/dmi/id/sys_vendor'), 'Amazon EC2\n');
  t.match(await run('provision-files', '-root', detected, ...at), { code: 0 });
  t.ok(existsSync(join(detected, 'run/peerpod/auth.json')));
  t.strictSame(
    seen.map(({ method }) => method),
    ['PUT', 'GET'],
  );

  const told = directory();
  t.match(await run('provision-files', '-source', 'alibaba', '-root', told, ...at), { code: 0 });
  t.ok(existsSync(join(told, 'run/peerpod/auth.json')));

  const none = directory();
  t.match(await run('provision-files', '-source', 'none', '-root', none, ...at), { code: 0 });
  t.ok(existsSync(join(none, 'run/peerpod/initdata.digest')));
  t.equal(seen.length, 3);
});

t.test('a service that stays down is named with its last answer when the time is over', async t => {
  const { endpoint } = await serve(t, (_, response) => void response.writeHead(500).end());
  t.match(
    await run(
      'provision-files',
      '-source=gcp',
      '-t=1',
      '-root',
      directory(),
      '-metadata-endpoint',
      endpoint.href,
    ),
    {
      code: 1,
      stderr:
        /no user-data came from the GCP metadata server \(.*\) within 1 s; at last user-data: answered 500\n/,
    },
  );
});

t.test('each mistake ends with 1, one line for the fact and one for the way out', async t => {
  const dir = directory();
  writeFileSync(join(dir, 'bad'), '#cloud-config\nruncmd: [x]\n');
  const rows: readonly [argv: readonly string[], stderr: RegExp][] = [
    [['version', 'x'], /"x" after version is one too many/],
    [
      ['provision-files', '-t', '5m'],
      /-user-data-fetch-timeout is "5m", not a whole number\n {2}write a whole number, 1 or more/,
    ],
    [['provision-files', '-t=0'], /out of range/],
    [['provision-files', '-source='], /-source is empty\n {2}give it a value or leave it out/],
    [['provision-files', '-metadata-endpoint', 'https://a'], /"https:\/\/a", not http:\/\/host:port/],
    [['provision-files', '-metadata-endpoint', 'x'], /not http:/],
    [['provision-files', 'x'], /"x" belongs to no flag/],
    [
      ['provision-files', '-source', join(dir, 'bad'), '-root', dir],
      /a key "runcmd"; only write_files is understood\n {2}nothing was written/,
    ],
    [
      ['provision-files', '-source', join(dir, 'none'), '-t', '1', '-root', dir],
      /no user-data came from the file .*none within 1 s\n/,
    ],
    [['provision-files', '-source', join(dir, 'bad', 'x')], /cannot read .*bad\/x \(ENOTDIR\)/],
  ];
  for (const [argv, stderr] of rows) {
    const result = await run(...argv);
    t.match(result, { code: 1, stdout: '', stderr }, argv.join(' '));
    t.notMatch(result.stderr, /\n {4}at /, 'no stack');
  }
  t.notOk(existsSync(join(dir, 'run')));
});
