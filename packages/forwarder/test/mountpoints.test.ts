// SPDX-License-Identifier: Apache-2.0
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { parseMountinfo, waitForMount } from '../src/mountpoints.js';

const LINE = '36 35 98:0 /mnt1 /mnt/two\\040words rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n';

t.test("the kernel's escapes are undone", async t => {
  t.same(parseMountinfo(`${LINE}37 35 0:5 / / rw - proc proc rw\n`), ['/mnt/two words', '/']);
  t.same(parseMountinfo('\nshort line\n'), []);
});

t.test('a real mount point of this machine is found at once', async t => {
  t.equal(await waitForMount('/proc/', { timeoutMs: 0, signal: new AbortController().signal }), true);
  t.equal(await waitForMount('/proc/self', { timeoutMs: 0, signal: new AbortController().signal }), false);
});

t.test('the wait ends when the mount appears', async t => {
  const mountinfo = join(t.testdir({ list: '' }), 'list');
  const { signal } = new AbortController();
  const waiting = waitForMount('/mnt/two words', { timeoutMs: 20_000, intervalMs: 5, mountinfo, signal });
  setImmediate(() => appendFileSync(mountinfo, LINE));
  t.equal(await waiting, true);
});

t.test('the wait ends with its caller', async t => {
  const mountinfo = join(t.testdir({ list: '' }), 'list');
  const caller = new AbortController();
  const waiting = waitForMount('/x', { timeoutMs: 20_000, mountinfo, signal: caller.signal });
  caller.abort();
  await t.rejects(waiting, { name: 'AbortError' });
});
