// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { MARK, processesOf, readStat } from '../src/process-scan.js';
import { until } from './running-agent.js';

t.test('a process is read from /proc, even one with brackets and spaces in its name', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'scan-'));
  const program = join(directory, 'a) R (b c');
  copyFileSync('/bin/sleep', program);
  const child = spawn(program, ['300'], { detached: true });
  t.teardown(() => rmSync(directory, { recursive: true }));
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  t.match(readStat(pid), { pid, parent: process.pid, session: pid, threads: 1, over: false });
  child.kill('SIGSTOP');
  await until(() => readStat(pid)?.stopped === true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.equal(readStat(pid), null, 'gone');
});

t.test('processes are found by mark, by session and by descent, and nobody else is', async t => {
  const mark = `test/${process.pid}`;
  // The grandchild has neither the mark nor the session; only its parent ties it to the container.
  const script = 'env -i setsid sleep 305 & echo; wait';
  const marked = spawn('sh', ['-c', script], { env: { ...process.env, [MARK]: mark }, stdio: 'pipe' });
  const inSession = spawn('sleep', ['305'], { detached: true });
  const stranger = spawn('sleep', ['305'], { env: { ...process.env, [MARK]: `${mark}0` } });
  t.teardown(() => [marked, inSession, stranger].map(child => child.kill('SIGKILL')));
  await Promise.all([once(marked.stdout, 'data'), once(inSession, 'spawn'), once(stranger, 'spawn')]);
  const sessions = new Set([inSession.pid ?? 0]);
  await until(() => processesOf({ mark, sessions }).length === 3);
  const found = processesOf({ mark, sessions }).map(({ pid }) => pid);
  t.ok(found.includes(marked.pid ?? 0) && found.includes(inSession.pid ?? 0));
  t.notOk(found.includes(stranger.pid ?? 0));
  t.notOk(found.includes(process.pid));
  for (const pid of found) process.kill(pid, 'SIGKILL');
  await until(() => processesOf({ mark, sessions: new Set() }).length === 0);
});
