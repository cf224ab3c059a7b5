// SPDX-License-Identifier: Apache-2.0
// Files as sources: waiting for them, and not reading half of one.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { MAX_USER_DATA_BYTES } from '../../../src/cloud-config.js';
import { fileSource } from '../../../src/guest/sources/file.js';

interface Scope {
  teardown(fn: () => unknown): void;
}

function directory(t: Scope): string {
  const path = mkdtempSync(join(tmpdir(), 'source-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const signal = (): AbortSignal => AbortSignal.timeout(10_000);
const text = async (promise: Promise<Uint8Array>): Promise<string> => Buffer.from(await promise).toString();

t.test('a file that is there is read at once, also in a seed directory or behind a link', async t => {
  const dir = directory(t);
  writeFileSync(join(dir, 'user-data'), 'user-data');
  symlinkSync(join(dir, 'user-data'), join(dir, 'link'));
  for (const path of [join(dir, 'user-data'), dir, join(dir, 'link')])
    t.equal(await text(fileSource(path).read(signal())), 'user-data');
});

t.test('it waits for a file, its directory and its content', async t => {
  const dir = directory(t);
  const path = join(dir, 'media', 'user-data');
  const reading = text(fileSource(path).read(signal()));
  mkdirSync(join(dir, 'media'));
  writeFileSync(path, '');
  await new Promise(resolve => setTimeout(resolve, 250));
  writeFileSync(join(dir, 'new'), 'user-data');
  renameSync(join(dir, 'new'), path);
  t.equal(await reading, 'user-data');
});

t.test('a file that has just changed is left until it has settled', async t => {
  const path = join(directory(t), 'user-data');
  writeFileSync(path, 'half');
  const begin = Date.now();
  const reading = text(fileSource(path, { settledMs: 400 }).read(signal()));
  await new Promise(resolve => setTimeout(resolve, 200));
  writeFileSync(path, 'the whole user-data');
  t.equal(await reading, 'the whole user-data');
  t.ok(Date.now() - begin >= 500, 'counted from the last change');
});

t.test('a file from the future is not waited for', async t => {
  const path = join(directory(t), 'user-data');
  writeFileSync(path, 'user-data');
  utimesSync(path, Date.now() / 1000 + 9999, Date.now() / 1000 + 9999);
  t.equal(await text(fileSource(path, { settledMs: 60_000 }).read(signal())), 'user-data');
});

t.test('waiting ends when it is told to', async t => {
  const path = join(directory(t), 'never');
  await t.rejects(fileSource(path).read(AbortSignal.timeout(50)), { name: /AbortError|TimeoutError/ });
  await t.rejects(fileSource(path).read(AbortSignal.abort(new Error('told to'))), { message: 'told to' });
});

t.test('what is no file, or too large, is refused', async t => {
  const dir = directory(t);
  writeFileSync(join(dir, 'big'), Buffer.alloc(MAX_USER_DATA_BYTES + 1));
  await t.rejects(fileSource(join(dir, 'big')).read(signal()), { code: 'ERR_USER_DATA_TOO_LARGE' });
  spawnSync('mkfifo', [join(dir, 'fifo')]);
  await t.rejects(fileSource(join(dir, 'fifo')).read(signal()), {
    code: 'ERR_USER_DATA_SOURCE',
    message: /not a regular file/,
  });
  mkdirSync(join(dir, 'd', 'user-data'), { recursive: true });
  await t.rejects(fileSource(join(dir, 'd')).read(signal()), {
    code: 'ERR_USER_DATA_SOURCE',
    message: /not a regular file/,
  });
  symlinkSync('loop', join(dir, 'loop'));
  await t.rejects(fileSource(join(dir, 'loop')).read(signal()), {
    code: 'ERR_USER_DATA_SOURCE',
    message: /ELOOP/,
  });
});
