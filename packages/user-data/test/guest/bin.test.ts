// SPDX-License-Identifier: Apache-2.0
// The program as a process: its start, exit codes, streams and signals. Its commands are tested in main.test.ts.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import t from 'tap';
import { renderCloudConfig } from '../../src/cloud-config.js';

/** Without the loaders that the test runner gives to every Node.js it sees started; the process id stays the same. */
const NODE = ['-u', 'NODE_OPTIONS', process.execPath];
const BIN = new URL('../../bin/process-user-data.js', import.meta.url).pathname;

function start(argv: readonly string[]) {
  const child = spawn('env', [...NODE, BIN, ...argv], {
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

t.test('a Node.js that must not run it is told so in one line, before anything else', async t => {
  const old = `data:text/javascript,Object.defineProperty(process, 'version', { value: 'v20.20.1' })`;
  const child = spawn('env', [...NODE, `--import=${old}`, BIN, 'version']);
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

t.test('provision-files writes the files of user-data below a root', async t => {
  const root = directory();
  const userData = join(directory(), 'user-data');
  writeFileSync(
    userData,
    renderCloudConfig([{ path: '/run/peerpod/apf.json', content: '{"pod-network":{}}' }]),
  );
  const result = await run('provision-files', '-source', userData, '--root', root);
  t.match(result, { code: 0, stdout: '', stderr: /"msg":"files written"/ });
  t.equal(readFileSync(join(root, 'run/peerpod/apf.json'), 'utf8'), '{"pod-network":{}}\n');
});

t.test('a mistake ends it with 1 and two lines on stderr', async t => {
  t.strictSame(await run('provision'), {
    code: 1,
    stdout: '',
    stderr:
      'process-user-data: "provision" is not a command of process-user-data\n' +
      '  the commands are provision-files, version and help\n',
  });
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
