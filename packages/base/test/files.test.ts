// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeDirectory, messageOf, readSmallFile, reasonOf } from '../src/index.js';

const isRoot = process.geteuid?.() === 0;

t.test('a directory and those above it are made, and the first of them is told', async t => {
  const dir = t.testdir({ file: 'x', real: {} });
  t.equal(makeDirectory(join(dir, 'a/b/c'), 0o700), join(dir, 'a'));
  t.equal(lstatSync(join(dir, 'a/b/c')).mode & 0o777, 0o700);
  t.equal(makeDirectory(join(dir, 'a/b/c')), null);
  symlinkSync(join(dir, 'real'), join(dir, 'link'));
  t.equal(makeDirectory(join(dir, 'link')), null, 'a link to a directory is one');
  t.equal(makeDirectory(join(dir, 'link/below')), join(dir, 'link/below'));
  t.throws(() => makeDirectory(join(dir, 'file')), { code: 'EEXIST' });
  t.throws(() => makeDirectory(join(dir, 'file/below')), { code: /ENOTDIR|EEXIST/ });
  symlinkSync(join(dir, 'nowhere'), join(dir, 'dangling'));
  t.throws(() => makeDirectory(join(dir, 'dangling')), { code: 'EEXIST' });
});

t.test(
  'below /proc a directory is refused and not waited for',
  { skip: process.platform !== 'linux' },
  async t => {
    t.throws(() => makeDirectory('/proc/peerpod/state'), { code: 'ENOENT', path: '/proc/peerpod' });
  },
);

t.test('a small file is read whole, and everything else is named and refused', async t => {
  const dir = t.testdir({ small: 'text', big: 'x'.repeat(101), dir: {} });
  const at = (name: string): string => join(dir, name);
  const read = (name: string, noFollow = false): string =>
    readSmallFile(at(name), { maxBytes: 100, noFollow }).bytes.toString();
  t.equal(read('small'), 'text');
  writeFileSync(at('exact'), 'x'.repeat(100));
  t.equal(read('exact').length, 100);
  symlinkSync(at('small'), at('link'));
  t.equal(read('link'), 'text');
  t.throws(() => read('link', true), { code: 'ERR_FILE_UNREADABLE', message: /link is a link/ });
  t.throws(() => read('big'), { code: 'ERR_FILE_TOO_BIG', message: /big is bigger than the 100 bytes/ });
  t.throws(() => read('dir'), { code: 'ERR_FILE_NOT_REGULAR', message: /is a directory/ });
  t.throws(() => read('none'), { code: 'ERR_FILE_MISSING', message: /none is not there/ });
  t.throws(() => read('small/below'), { code: 'ERR_FILE_MISSING' });
  symlinkSync(at('circle'), at('circle'));
  t.throws(() => read('circle'), { code: 'ERR_FILE_UNREADABLE' });
  if (spawnSync('mkfifo', [at('pipe')]).status === 0)
    t.throws(() => read('pipe'), { code: 'ERR_FILE_NOT_REGULAR' }, 'a pipe is not waited for');
  t.ok(
    readSmallFile('/proc/self/status', { maxBytes: 100_000 }).bytes.length > 100,
    'a file whose size says 0 is read all the same',
  );
});

t.test('a file that may not be read says so', { skip: isRoot && 'root reads everything' }, async t => {
  const dir = t.testdir({ secret: 'x' });
  chmodSync(join(dir, 'secret'), 0);
  t.throws(() => readSmallFile(join(dir, 'secret'), { maxBytes: 10 }), { code: 'ERR_FILE_UNREADABLE' });
});

t.test('words of anything thrown fit on one line, with the causes that say more', async t => {
  t.equal(messageOf('text'), 'text');
  const deep = new Error('top', { cause: new Error('below\n  it', { cause: 'last' }) });
  t.equal(reasonOf(deep), 'top: below it: last');
  t.equal(reasonOf(new Error('top: x', { cause: new Error('x') })), 'top: x');
  t.equal(reasonOf(undefined), 'no reason given');
});
