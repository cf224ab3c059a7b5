// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
  chownSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeSecretDirectory, sweepSecretDirectory, writeSecretFile, writeSecretSet } from '../src/index.js';

const mode = (path: string): string => (lstatSync(path).mode & 0o777).toString(8);
const isRoot = process.geteuid?.() === 0;

t.test('a secret file is 0600 in a 0700 directory, and nothing else is left', async t => {
  const dir = join(t.testdir({}), 'a', 'b');
  const path = join(dir, 'k.pem');
  await writeSecretFile(path, 'one');
  t.equal(mode(path), '600');
  t.equal(mode(dir), '700');
  t.equal(mode(join(dir, '..')), '700');
  chmodSync(path, 0o644);
  await writeSecretFile(path, Buffer.from('two'));
  t.equal(readFileSync(path, 'utf8'), 'two');
  t.equal(mode(path), '600', 'a lax mode of an old file is not kept');
  t.strictSame(readdirSync(dir), ['k.pem']);
});

t.test('writers of one path at one time leave one whole file', async t => {
  const path = join(t.testdir({}), 's', 'k');
  const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(10_000));
  await Promise.all(texts.map(text => writeSecretFile(path, text)));
  t.ok(texts.includes(readFileSync(path, 'utf8')));
  t.strictSame(readdirSync(join(path, '..')), ['k']);
});

t.test('links, directories and places of others are refused and left alone', async t => {
  const dir = t.testdir({ real: { k: 'old' }, other: 'text', open: {} });
  const at = (name: string): string => join(dir, name);
  chmodSync(at('real'), 0o700);
  symlinkSync(at('other'), at('real/link'));
  symlinkSync(at('nowhere'), at('real/dangling'));
  symlinkSync(at('real'), at('dirlink'));
  mkdirSync(at('real/sub'), { mode: 0o700 });
  chmodSync(at('open'), 0o777);
  const refused = { code: 'ERR_FILE_UNSAFE_PATH' };
  await t.rejects(writeSecretFile(at('real/link'), 'x'), { ...refused, message: /is a link/ });
  await t.rejects(writeSecretFile(at('real/dangling'), 'x'), refused);
  await t.rejects(writeSecretFile(at('dirlink/k'), 'x'), { ...refused, message: /dirlink is a link/ });
  await t.rejects(writeSecretFile(at('real/sub'), 'x'), { ...refused, message: /not a regular file/ });
  await t.rejects(writeSecretFile(at('open/k'), 'x'), { ...refused, hint: /chmod 700/ });
  await t.rejects(makeSecretDirectory(at('other')), { ...refused, message: /not a directory/ });
  await t.rejects(makeSecretDirectory(at('other/below')), {
    code: 'ERR_FILE_WRITE_FAILED',
    message: /ENOTDIR/,
  });
  t.equal(readFileSync(at('other'), 'utf8'), 'text');
  t.equal(readFileSync(at('real/k'), 'utf8'), 'old');
  t.strictSame(readdirSync(at('real')).sort(), ['dangling', 'k', 'link', 'sub']);
});

t.test(
  'a directory of another user is refused',
  { skip: isRoot ? false : 'only root can give a directory away' },
  async t => {
    const dir = t.testdir({ theirs: {} });
    chmodSync(join(dir, 'theirs'), 0o700);
    chownSync(join(dir, 'theirs'), 12_345, 12_345);
    await t.rejects(writeSecretFile(join(dir, 'theirs/k'), 'x'), {
      code: 'ERR_FILE_UNSAFE_PATH',
      message: /user 12345/,
    });
  },
);

t.test('a set changes together, and names that left it are gone', async t => {
  const dir = join(t.testdir({}), 'set');
  await writeSecretSet(dir, { 'tls.crt': 'c1', 'tls.key': 'k1', extra: 'e' });
  t.equal(mode(dir), '700');
  t.equal(lstatSync(join(dir, 'tls.key')).isSymbolicLink(), true);
  const target = lstatSync(join(dir, '..data')).isSymbolicLink();
  t.ok(target);
  await writeSecretSet(dir, { 'tls.crt': 'c2', 'tls.key': 'k2', 'ca.crt': 'a2' });
  t.equal(readFileSync(join(dir, 'tls.crt'), 'utf8'), 'c2');
  t.equal(readFileSync(join(dir, 'tls.key'), 'utf8'), 'k2');
  const entries = readdirSync(dir).sort();
  t.strictSame(
    entries.filter(name => !name.startsWith('..')),
    ['ca.crt', 'tls.crt', 'tls.key'],
  );
  const sets = entries.filter(name => name.startsWith('..set-'));
  t.equal(sets.length, 1, 'former sets are removed');
  t.equal(mode(join(dir, sets[0] ?? '', 'tls.key')), '600');
});

t.test('sets written at one time are written one after another', async t => {
  const dir = join(t.testdir({}), 'set');
  await Promise.all(Array.from({ length: 10 }, (_, i) => writeSecretSet(dir, { a: `${i}`, b: `${i}` })));
  t.equal(readFileSync(join(dir, 'a'), 'utf8'), '9');
  t.equal(readFileSync(join(dir, 'b'), 'utf8'), '9');
});

t.test('a set is not written over what somebody else put there', async t => {
  const dir = join(t.testdir({}), 'set');
  await writeSecretSet(dir, { a: '1' });
  writeFileSync(join(dir, 'b'), 'mine');
  await t.rejects(writeSecretSet(dir, { a: '2', b: '2' }), { code: 'ERR_FILE_UNSAFE_PATH' });
  t.equal(readFileSync(join(dir, 'a'), 'utf8'), '1');
  t.equal(readFileSync(join(dir, 'b'), 'utf8'), 'mine');
  t.equal(readdirSync(dir).filter(name => name.startsWith('..')).length, 2, 'the set in force and its link');
  for (const name of ['', '../x', '.x', 'a/b', 'a\0']) {
    await t.rejects(writeSecretSet(dir, { [name]: 'x' }), { code: 'ERR_FILE_UNSAFE_PATH' });
  }
});

t.test('what a killed writer left is removed by the next', async t => {
  const dir = join(t.testdir({}), 'set');
  await writeSecretSet(dir, { a: '1' });
  mkdirSync(join(dir, '..set-0123456789abcdef'));
  symlinkSync('..set-0123456789abcdef', join(dir, '..link-0123456789abcdef'));
  await writeSecretSet(dir, { a: '2' });
  t.equal(readdirSync(dir).length, 3);
  writeFileSync(join(dir, '.k.0123456789abcdef.tmp'), 'half');
  await sweepSecretDirectory(dir);
  t.strictSame(
    readdirSync(dir).filter(name => name.endsWith('.tmp')),
    [],
  );
  await sweepSecretDirectory(join(dir, 'not-there'));
});

/** A file system of 64 KiB, where this user may mount one. */
function mountSmallDisk(): string | null {
  const path = mkdtempSync(join(tmpdir(), 'certs-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', path]).status === 0;
  t.teardown(() => {
    if (mounted) spawnSync('umount', ['-l', path]);
    rmdirSync(path);
  });
  return mounted ? path : null;
}

const smallDisk = mountSmallDisk();
const skipDisk = smallDisk === null ? 'no file system of our own can be mounted here' : false;
t.test('a full disk has its own code and leaves the old file', { skip: skipDisk }, async t => {
  const disk = smallDisk ?? '';
  const path = join(disk, 'k');
  await writeSecretFile(path, 'old');
  await writeSecretSet(join(disk, 'set'), { a: 'old' });
  await t.rejects(writeSecretFile(path, 'x'.repeat(100_000)), {
    code: 'ERR_FILE_DISK_FULL',
    message: /disk-\w+\/k/,
    hint: /unchanged/,
  });
  await t.rejects(writeSecretSet(join(disk, 'set'), { a: 'new', b: 'x'.repeat(100_000) }), {
    code: 'ERR_FILE_DISK_FULL',
  });
  t.equal(readFileSync(path, 'utf8'), 'old');
  t.equal(readFileSync(join(disk, 'set/a'), 'utf8'), 'old');
  t.strictSame(readdirSync(disk).sort(), ['k', 'set']);
  t.equal(readdirSync(join(disk, 'set')).filter(name => name.startsWith('..')).length, 2);
  await writeSecretFile(path, 'new');
  t.equal(readFileSync(path, 'utf8'), 'new', 'there is room for a small one');
});
