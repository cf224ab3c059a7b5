// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { ensureDirectory, hostilePath, rooted } from '../src/guest-directory.js';

t.test('a missing source is made with its parents, once', async t => {
  const root = t.testdir();
  t.same(await ensureDirectory(root, '/run/a/b'), { t: 'made', directories: 3 });
  t.equal(statSync(join(root, 'run/a/b')).mode & 0o7777, 0o755 & ~process.umask());
  t.same(await ensureDirectory(root, '/run//a/./b/'), { t: 'there' });
});

t.test('two calls that make the same path at once both succeed', async t => {
  const root = t.testdir();
  const outcomes = await Promise.all([1, 2, 3, 4].map(() => ensureDirectory(root, '/p/q/r')));
  t.equal(outcomes.filter(outcome => outcome.t === 'failed').length, 0);
  t.ok(existsSync(join(root, 'p/q/r')));
});

t.test('a file at the end of the path is left for the agent to refuse', async t => {
  const root = t.testdir({ etc: { hosts: 'x' } });
  t.same(await ensureDirectory(root, '/etc/hosts'), { t: 'there' });
  t.match(await ensureDirectory(root, '/etc/hosts/deeper'), {
    t: 'failed',
    reason: /hosts is not a directory/,
  });
});

t.test('an absolute link is followed from the guest root, not out of it', async t => {
  const outside = t.testdir();
  const root = join(outside, 'root');
  mkdirSync(join(root, 'run'), { recursive: true });
  mkdirSync(join(root, 'var'));
  symlinkSync('/run', join(root, 'var/run'));
  symlinkSync('../../../../run', join(root, 'var/up'));
  t.same(await ensureDirectory(root, '/var/run/x'), { t: 'made', directories: 1 });
  t.same(await ensureDirectory(root, '/var/up/y'), { t: 'made', directories: 1 });
  t.same(readdirSync(join(root, 'run')), ['x', 'y']);
  t.same(readdirSync(outside), ['root'], 'nothing appeared outside the root');
});

t.test('nothing is made where a link leads nowhere, or in circles', async t => {
  const root = t.testdir();
  symlinkSync('/etc/cron.d', join(root, 'planted'));
  symlinkSync('loop', join(root, 'loop'));
  t.match(await ensureDirectory(root, '/planted/job'), {
    t: 'failed',
    reason: /symbolic link.*does not exist/,
  });
  t.match(await ensureDirectory(root, '/loop/x'), { t: 'failed', reason: /too many symbolic links/ });
  t.notOk(existsSync(join(root, 'etc')));
});

t.test('a directory that cannot be made is reported with the reason', async t => {
  const root = t.testdir();
  writeFileSync(join(root, 'file'), '');
  const name = 'x'.repeat(300);
  t.match(await ensureDirectory(root, `/${name}`), { t: 'failed', reason: /ENAMETOOLONG/ });
});

t.test('hostile paths are told by the rule they break', async t => {
  for (const [path, reason] of [
    ['', /empty/],
    ['a/b', /absolute/],
    ['/a/../b', /"\.\."/],
    ['/a\0b', /NUL/],
    [`/${'a/'.repeat(3000)}`, /4096/],
  ] as const) {
    t.match(hostilePath(path), reason);
  }
  t.equal(hostilePath('/run/a..b/...'), null);
});

t.test('paths are rooted only when there is another root', async t => {
  t.equal(rooted('/', '/run/x'), '/run/x');
  t.equal(rooted('/g', '/run/x'), '/g/run/x');
});
