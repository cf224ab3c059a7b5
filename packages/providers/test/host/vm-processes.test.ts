// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';

import { MARKER, endProcesses, isAlive, processesOf, startTime } from '../../src/host/vm-processes.js';

function vmDirectory(t: Test): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'vm-')));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A real process that says when it runs, and is gone at the end of the test. */
async function start(
  t: Test,
  script: string,
  options: { cwd?: string; env?: NodeJS.ProcessEnv },
): Promise<ChildProcess> {
  const child = spawn('/bin/sh', ['-c', `${script}; echo running; exec sleep 60`], {
    cwd: options.cwd ?? '/',
    env: options.env ?? {},
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

t.test('a process is found by its marker or its working directory, and told from its successor', async t => {
  const directory = vmDirectory(t);
  const marked = await start(t, ':', { env: { [MARKER]: directory } });
  const working = await start(t, ':', { cwd: directory });
  const other = await start(t, ':', { env: { [MARKER]: `${directory}x`, NOTE: directory } });
  const found = processesOf(directory);
  t.same(found.sort(), [marked.pid, working.pid].sort());
  t.same(processesOf(directory, [marked.pid ?? 0]), [working.pid]);
  const start1 = startTime(other.pid ?? 0);
  t.match(start1, /^\d+$/);
  t.ok(isAlive({ pid: other.pid ?? 0, start: String(start1) }));
  t.notOk(isAlive({ pid: other.pid ?? 0, start: '1' }), 'same number, another process');
  t.notOk(isAlive({ pid: 0x3fffff, start: '1' }));
});

t.test('every process is ended, those that ignore the request by force', async t => {
  const directory = vmDirectory(t);
  const polite = await start(t, ':', { env: { [MARKER]: directory } });
  const stubborn = await start(t, "trap '' TERM", { env: { [MARKER]: directory } });
  const ended = Promise.all([once(polite, 'exit'), once(stubborn, 'exit')]);
  const left = await endProcesses(directory, { leader: null, graceMs: 200, killMs: 5000 });
  t.same(left, []);
  const [[, politeSignal], [, stubbornSignal]] = await ended;
  t.equal(politeSignal, 'SIGTERM');
  t.equal(stubbornSignal, 'SIGKILL');
});

t.test('a leader whose number now belongs to another process is not signalled', async t => {
  const directory = vmDirectory(t);
  const bystander = await start(t, ':', {});
  const leader = { pid: bystander.pid ?? 0, start: '1' };
  t.same(await endProcesses(directory, { leader, graceMs: 100, killMs: 100 }), []);
  t.equal(bystander.exitCode, null);
  t.not(startTime(bystander.pid ?? 0), null, 'it still lives');
});

t.test('what will not end in time is reported', async t => {
  const directory = vmDirectory(t);
  const spared = await start(t, "trap '' TERM", { env: { [MARKER]: directory } });
  const caller = AbortSignal.timeout(50);
  await t.rejects(endProcesses(directory, { leader: null, graceMs: 10_000, killMs: 0, signal: caller }), {
    name: 'TimeoutError',
  });
  const sparing = { leader: null, graceMs: 10, killMs: 10, except: [spared.pid ?? 0] };
  t.same(await endProcesses(directory, sparing), []);
  t.not(startTime(spared.pid ?? 0), null);
});

const noTerminal =
  spawnSync('script', ['--version']).status !== 0 && 'needs script, to give a shell a terminal';

t.test('a person who looks around in the directory is no part of the VM', { skip: noTerminal }, async t => {
  const directory = vmDirectory(t);
  const shell = spawn('script', ['-qfc', `cd ${directory} && echo here && exec sleep 60`, '/dev/null'], {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => shell.kill('SIGKILL'));
  await once(shell.stdout, 'data');
  t.same(processesOf(directory), []);
  const part = await start(t, ':', { cwd: directory });
  t.same(processesOf(directory), [part.pid], 'the same without a terminal is');
});
