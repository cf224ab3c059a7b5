// SPDX-License-Identifier: Apache-2.0
// The program itself: commands, exit codes, what a person reads.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import t from 'tap';
import { renderCloudConfig } from '../src/cloud-config.js';

const BIN = new URL('../src/bin.ts', import.meta.url).pathname;

function start(argv: readonly string[]) {
  const child = spawn(process.execPath, ['--import=tsx', BIN, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const done = Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { child, end: done.then(([[code], stdout, stderr]) => ({ code, stdout, stderr })) };
}

const run = (...argv: readonly string[]) => start(argv).end;

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'pud-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('without a command, and with help, it shows the commands and ends with 0', async t => {
  const [bare, help, flags] = await Promise.all([run(), run('help'), run('provision-files', '-h')]);
  for (const result of [bare, help])
    t.match(result, { code: 0, stdout: /^Usage: process-user-data provision-files/, stderr: '' });
  t.match(flags, { code: 0, stdout: /-t, -user-data-fetch-timeout SECONDS[^]*\(default 180\)/, stderr: '' });
});

t.test('a Node.js that must not run it is told so in one line, before anything else', async t => {
  const old = `data:text/javascript,Object.defineProperty(process, 'version', { value: 'v20.20.1' })`;
  const child = spawn(process.execPath, ['--import=tsx', `--import=${old}`, BIN, 'version']);
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  t.strictSame([code, stdout], [1, '']);
  t.match(
    stderr,
    /^process-user-data: Node\.js 20\.20\.1 has known holes in its TLS \(CVE-2026-21637\)[^\n]*\n$/,
  );
});

t.test('version prints the block', async t => {
  const results = await Promise.all([run('version'), run('-v'), run('--version')]);
  for (const result of results) t.match(result, { code: 0, stdout: /^process-user-data version \d/ });
});

t.test('provision-files writes the files of a letter below a root', async t => {
  const root = directory();
  const letter = join(directory(), 'user-data');
  writeFileSync(
    letter,
    renderCloudConfig([{ path: '/run/peerpod/apf.json', content: '{"pod-network":{}}' }]),
  );
  const result = await run('provision-files', '-source', letter, '--root', root);
  t.match(result, { code: 0, stdout: '', stderr: /"msg":"files written"/ });
  t.equal(readFileSync(join(root, 'run/peerpod/apf.json'), 'utf8'), '{"pod-network":{}}\n');
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

t.test('each mistake ends with 1, one line for the fact and one for the way out', async t => {
  const dir = directory();
  writeFileSync(join(dir, 'bad'), '#cloud-config\nruncmd: [x]\n');
  const rows: readonly [argv: readonly string[], stderr: RegExp][] = [
    [
      ['provision'],
      /^process-user-data: "provision" is not a command of process-user-data\n {2}the commands are/,
    ],
    [['version', 'x'], /"x" after version is one too many/],
    [
      ['provision-files', '-t', '5m'],
      /-user-data-fetch-timeout is "5m", not a whole number\n {2}write a whole number, 1 or more/,
    ],
    [['provision-files', '-t=0'], /out of range/],
    [['provision-files', 'x'], /"x" belongs to no flag/],
    [
      ['provision-files', '-source', join(dir, 'bad'), '-root', dir],
      /a key "runcmd"; only write_files is understood\n {2}nothing was written/,
    ],
    [
      ['provision-files', '-source', join(dir, 'none'), '-t', '1', '-root', dir],
      /no user-data came from the file .*none within 1 s\n/,
    ],
  ];
  const results = await Promise.all(rows.map(([argv]) => run(...argv)));
  for (const [i, result] of results.entries()) {
    const [argv, stderr] = rows[i] ?? [[], /never/];
    t.match(result, { code: 1, stdout: '', stderr }, argv.join(' '));
    t.notMatch(result.stderr, /\n {4}at /, 'no stack');
  }
  t.notOk(existsSync(join(dir, 'run')));
});

t.test('SIGTERM while waiting ends it with 1 and no file', async t => {
  const dir = directory();
  const { child, end } = start([
    'provision-files',
    '-source',
    join(dir, 'none'),
    '-root',
    dir,
    '-log-level',
    'debug',
  ]);
  await once(child.stderr, 'data');
  child.kill('SIGTERM');
  t.match(await end, { code: 1, stderr: /stopped by SIGTERM while waiting/ });
});
