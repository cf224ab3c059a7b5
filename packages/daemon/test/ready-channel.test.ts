// SPDX-License-Identifier: Apache-2.0
// Readiness over a real pipe, from a real program to the one that started it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import t from 'tap';
import { createLogger } from '../src/log.js';
import { awaitReady, openReadyChannel, READY_FD } from '../src/ready-channel.js';
import { daemonProgram } from './fixtures/program.js';

const fixture = await daemonProgram();
t.teardown(() => fixture.remove());
const never = new AbortController().signal;

function start(mode: string) {
  const child = spawn('env', fixture.argv(`MODE=${mode}`, `${READY_FD}=3`), {
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  });
  t.teardown(() => void child.kill('SIGKILL'));
  const pipe = child.stdio[3];
  if (!(pipe instanceof Readable)) throw new Error('no pipe');
  return { child, pipe };
}

t.test(
  'a program tells its parent that it is ready, with its process id and what its services add',
  async t => {
    const { child, pipe } = start('details');
    t.strictSame(await awaitReady(pipe, never), { ready: true, pid: child.pid, address: '127.0.0.1:7' });
    child.kill('SIGTERM');
    t.strictSame(await once(child, 'exit'), [0, null], 'the parent may hang up then');
  },
);

t.test('a program that fails to start, or is killed before, is told from one that is slow', async t => {
  await t.rejects(awaitReady(start('start-fails').pipe, never), { code: 'ERR_READY_ENDED' });
  const { child, pipe } = start('start-hangs');
  const waiting = awaitReady(pipe, never);
  await once(child.stdout ?? child, 'data');
  child.kill('SIGKILL');
  await t.rejects(waiting, { code: 'ERR_READY_ENDED', hint: /standard error/ });
});

t.test('a parent need not wait for ever', async t => {
  const stop = new AbortController();
  const waiting = awaitReady(new PassThrough(), stop.signal);
  stop.abort(new Error('enough'));
  await t.rejects(waiting, { message: 'enough' });
  await t.rejects(awaitReady(new PassThrough(), stop.signal), { message: 'enough' });
});

t.test('anything but a line that says ready is none', async t => {
  for (const line of ['{"ready":false}\n', 'ready\n', 'null\n', `${'x'.repeat(70_000)}`]) {
    const pipe = new PassThrough();
    const waiting = awaitReady(pipe, never);
    pipe.write(line);
    await t.rejects(waiting, { code: 'ERR_READY_ENDED' }, line.slice(0, 20));
  }
  const cut = new PassThrough();
  const waiting = awaitReady(cut, never);
  cut.write('{"ready":tr');
  cut.write('ue,"a":1}\nmore');
  t.strictSame(await waiting, { ready: true, a: 1 }, 'in pieces, and with more behind it');
});

t.test('a variable that names no pipe is a warning, and never reaches a program further down', async t => {
  const lines: string[] = [];
  const log = createLogger({ name: 'test', destination: { write: line => void lines.push(line) } });
  const file = openSync('/dev/null', 'r');
  for (const value of ['', '1', 'x', '99999', String(file)]) {
    const env: NodeJS.ProcessEnv = { [READY_FD]: value };
    const channel = openReadyChannel(env, log);
    channel.ready({ address: 'x' });
    channel.close();
    t.notOk(READY_FD in env, value);
  }
  t.equal(lines.length, 4, 'an empty one is none');
  t.match(lines[3], /it is no pipe/);
});
