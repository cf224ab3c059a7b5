// SPDX-License-Identifier: Apache-2.0
// Several files or none of them, and nowhere but where they belong.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { writeStaged } from '../../src/guest/staged-files.js';

interface Scope {
  teardown(fn: () => unknown): void;
}

function directory(t: Scope): string {
  const path = mkdtempSync(join(tmpdir(), 'staged-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const files = [
  { path: '/run/peerpod/apf.json', content: 'one' },
  { path: '/run/peerpod/auth.json', content: Buffer.from('two') },
];

t.test('files are 0600 in directories of 0700, whatever the mask', async t => {
  for (const mask of [0o000, 0o077, 0o777]) {
    const root = directory(t);
    const before = process.umask(mask);
    await writeStaged(root, files).finally(() => process.umask(before));
    t.equal(readFileSync(join(root, 'run/peerpod/apf.json'), 'utf8'), 'one');
    t.equal(readFileSync(join(root, 'run/peerpod/auth.json'), 'utf8'), 'two');
    t.equal(statSync(join(root, 'run/peerpod/apf.json')).mode & 0o777, 0o600);
    if (mask !== 0o777)
      for (const made of ['run', 'run/peerpod']) t.equal(statSync(join(root, made)).mode & 0o777, 0o700);
    t.strictSame(
      readdirSync(join(root, 'run/peerpod')).sort(),
      ['apf.json', 'auth.json'],
      'no temporary file is left',
    );
  }
});

t.test('a file that is there is replaced, not written into', async t => {
  const root = directory(t);
  mkdirSync(join(root, 'run/peerpod'), { recursive: true, mode: 0o755 });
  const path = join(root, 'run/peerpod/apf.json');
  writeFileSync(path, 'old', { mode: 0o644 });
  const { ino } = statSync(path);
  await writeStaged(root, files);
  t.not(statSync(path).ino, ino);
  t.equal(statSync(path).mode & 0o777, 0o600);
});

t.test('one file that cannot be written leaves the others as they were', async t => {
  const root = directory(t);
  mkdirSync(join(root, 'run/peerpod/auth.json'), { recursive: true });
  writeFileSync(join(root, 'run/peerpod/apf.json'), 'old');
  await t.rejects(writeStaged(root, files), {
    code: 'ERR_USER_DATA_UNSAFE_PATH',
    message: /auth\.json is there and is no regular file/,
  });
  t.equal(readFileSync(join(root, 'run/peerpod/apf.json'), 'utf8'), 'old');
  t.strictSame(readdirSync(join(root, 'run/peerpod')).sort(), ['apf.json', 'auth.json']);
});

t.test('no link is followed, neither for a file nor for a directory on the way', async t => {
  const elsewhere = directory(t);
  writeFileSync(join(elsewhere, 'victim'), 'precious');
  for (const prepare of [
    (root: string) => symlinkSync(elsewhere, join(root, 'run')),
    (root: string) => {
      mkdirSync(join(root, 'run'));
      symlinkSync(elsewhere, join(root, 'run/peerpod'));
    },
    (root: string) => {
      mkdirSync(join(root, 'run/peerpod'), { recursive: true });
      symlinkSync(join(elsewhere, 'victim'), join(root, 'run/peerpod/apf.json'));
    },
    (root: string) => {
      mkdirSync(join(root, 'run/peerpod'), { recursive: true });
      symlinkSync(join(elsewhere, 'absent'), join(root, 'run/peerpod/auth.json'));
    },
  ]) {
    const root = directory(t);
    prepare(root);
    await t.rejects(writeStaged(root, files), {
      code: 'ERR_USER_DATA_UNSAFE_PATH',
      message: /is a link, which is not followed/,
    });
  }
  t.strictSame(readdirSync(elsewhere), ['victim']);
  t.equal(readFileSync(join(elsewhere, 'victim'), 'utf8'), 'precious');
});

t.test('a directory that others may write to, or that is no directory, is refused', async t => {
  const root = directory(t);
  mkdirSync(join(root, 'run'));
  chmodSync(join(root, 'run'), 0o777);
  await t.rejects(writeStaged(root, files), {
    code: 'ERR_USER_DATA_UNSAFE_PATH',
    message: /can be written to by other users/,
  });
  rmSync(join(root, 'run'), { recursive: true });
  writeFileSync(join(root, 'run'), '');
  await t.rejects(writeStaged(root, files), {
    code: 'ERR_USER_DATA_UNSAFE_PATH',
    message: /run is not a directory/,
  });
});

t.test(
  'a directory of another user is refused',
  { skip: process.geteuid?.() !== 0 && 'only root can make one' },
  async t => {
    const root = directory(t);
    mkdirSync(join(root, 'run'));
    chownSync(join(root, 'run'), 12_345, 0);
    await t.rejects(writeStaged(root, files), {
      code: 'ERR_USER_DATA_UNSAFE_PATH',
      message: /belongs to user 12345/,
    });
  },
);

t.test('what a killed run left behind is removed, and only that', async t => {
  const root = directory(t);
  mkdirSync(join(root, 'run/peerpod'), { recursive: true });
  const left = join(root, 'run/peerpod', `.apf.json.${'0123456789abcdef'}.tmp`);
  const other = join(root, 'run/peerpod', '.apf.json.mine.tmp');
  writeFileSync(left, 'key');
  writeFileSync(other, 'not ours');
  await writeStaged(root, files);
  t.notOk(existsSync(left));
  t.ok(existsSync(other));
});

t.test('a root that is not there is refused', async t => {
  await t.rejects(writeStaged(join(directory(t), 'nowhere'), files), {
    code: 'ERR_USER_DATA_WRITE',
    message: /ENOENT/,
  });
});

function mountSmall(path: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', path]).status === 0;
}

const smallDisk = mkdtempSync(join(tmpdir(), 'small-'));
const mounted = mountSmall(smallDisk);
t.teardown(() => {
  if (mounted) spawnSync('umount', [smallDisk]);
  rmSync(smallDisk, { recursive: true, force: true });
});

t.test(
  'on a full disk nothing changes, and the words say so',
  { skip: !mounted && 'needs the right to mount' },
  async t => {
    const root = smallDisk;
    await writeStaged(root, [{ path: '/run/apf.json', content: 'old' }]);
    const large = [
      { path: '/run/apf.json', content: 'new' },
      { path: '/run/auth.json', content: Buffer.alloc(100_000) },
    ];
    await t.rejects(writeStaged(root, large), {
      code: 'ERR_USER_DATA_WRITE',
      message: /auth\.json\S* cannot be written: the disk is full/,
      hint: /no file of the user-data was changed/,
    });
    t.equal(readFileSync(join(root, 'run/apf.json'), 'utf8'), 'old');
    t.strictSame(readdirSync(join(root, 'run')), ['apf.json'], 'and the room is free again');
  },
);
