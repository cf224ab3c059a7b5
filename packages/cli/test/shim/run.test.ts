// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { findMarked } from '../../src/demo/sweep.js';
import { readSandboxes } from '../../src/status/endpoint.js';
import { startAdaptor } from '../support/adaptor.js';
import { Peerpod, peerpod } from '../support/program.js';

const { dir, socket, status } = await startAdaptor(t);

t.test('megabytes of input come back, the outputs stay apart, and the exit code is ours', async t => {
  const data = randomBytes(1_500_000).toString('hex');
  const script = 'echo $COLOUR $SIZE $HOSTNAME; cat; echo "to stderr" >&2; exit 3';
  const argv = ['run', '-socket', socket, '-name', 'web', '-env', 'COLOUR=blue', '-env', 'SIZE=9', '--'];
  const { code, stdout, stderr } = await peerpod(t, [...argv, 'sh', '-c', script], { stdin: data });
  t.equal(code, 3);
  t.ok(stdout === `blue 9 web\n${data}`, 'what went in came out, behind what the environment says');
  t.match(stderr, /^peerpod: pod VM web-[0-9a-f]{8} is up after/);
  t.match(stderr, /^to stderr$/m);
  t.match(stderr, /the command ended with exit code 3/);
  t.match(stderr, /is deleted\n$/);
  t.same((await readSandboxes(status)).rows, [], 'no sandbox stays');
});

t.test('with -json the result is one object, with the output in it and 128+n for a signal', async t => {
  const argv = ['run', '-json', '-socket', socket, '--', 'sh', '-c', 'echo out; echo err >&2; kill -9 $$'];
  const { code, stdout, stderr } = await peerpod(t, argv);
  t.equal(code, 137);
  t.match(JSON.parse(stdout), { exitCode: 137, stdout: 'out\n', stderr: 'err\n' });
  t.equal(stderr, '');
});

t.test('Ctrl-C is passed to the command, whose exit code still counts', async t => {
  const script = 'trap "echo caught; exit 5" INT; echo ready; while :; do sleep 0.05; done';
  const program = new Peerpod(t, ['run', '-socket', socket, '--', 'sh', '-c', script], { stdin: 'open' });
  await program.said(/^ready$/m);
  program.child.kill('SIGINT');
  const { code } = await program.ended;
  t.equal(code, 5);
  t.match(program.stdout, /caught/);
  t.match(program.stderr, /passed the signal to the command; once more deletes the pod VM/);
  t.same((await readSandboxes(status)).rows, []);
});

t.test('a second Ctrl-C deletes the pod VM under a command that does not listen', async t => {
  const script = 'trap "" INT; echo ready; while :; do sleep 0.05; done';
  const program = new Peerpod(t, ['run', '-socket', socket, '--', 'sh', '-c', script]);
  await program.said(/^ready$/m);
  program.child.kill('SIGINT');
  await program.said(/passed the signal/);
  program.child.kill('SIGINT');
  const { code } = await program.ended;
  t.equal(code, 130);
  t.match(program.stderr, /is deleted/);
  t.same((await readSandboxes(status)).rows, []);
});

t.test('a command that cannot be started is our failure, 125, and the VM is deleted', async t => {
  const { code, stderr } = await peerpod(t, ['run', '-socket', socket, '--', '/no/such/program']);
  t.equal(code, 125);
  t.match(stderr, /peerpod run: (Create|Start)Container failed with .*no\/such\/program/s);
  t.same((await readSandboxes(status)).rows, []);
});

t.test('when nobody reads the output any more, the command and its VM end', async t => {
  const program = new Peerpod(t, [
    'run',
    '-quiet',
    '-socket',
    socket,
    '--',
    'sh',
    '-c',
    'while :; do echo more; done',
  ]);
  await program.said(/^more$/m);
  program.child.stdout?.destroy();
  const { code } = await program.ended;
  t.equal(code, 141);
  t.equal(program.stderr, '');
  t.same((await readSandboxes(status)).rows, []);
});

t.test('a peerpod that is killed leaves no pod VM, at whatever moment', async t => {
  const gone = async () => {
    while ((await readSandboxes(status)).rows.length > 0) await sleep(50);
    // The adaptor itself and its proxy carry the mark too.
    while (findMarked(dir).length > 2) await sleep(50);
  };
  const argv = ['run', '-socket', socket, '--', 'sh', '-c', 'echo ready; sleep 600'];
  const ready = new Peerpod(t, argv);
  await ready.said(/^ready$/m);
  ready.child.kill('SIGKILL');
  await gone();
  // From before the first call to the running command.
  for (let ms = 80; ms < 1000; ms += 220) {
    const program = new Peerpod(t, argv);
    await sleep(ms);
    program.child.kill('SIGKILL');
    await program.ended;
    await gone();
  }
  t.pass('nothing stayed');
});

t.test('an id that another program holds is refused, and that program keeps its VM', async t => {
  const holder = new Peerpod(t, ['run', '-id', 'mine', '-socket', socket, '--', 'sh', '-c', 'echo up; cat'], {
    stdin: 'open',
  });
  await holder.said(/^up$/m);
  const other = await peerpod(t, ['run', '-id', 'mine', '-socket', socket, '--', 'true']);
  t.equal(other.code, 125);
  t.match(other.stderr, /CreateVM failed with AlreadyExists/);
  t.match((await readSandboxes(status)).rows, [{ id: 'mine', state: 'running' }]);
  holder.child.stdin?.end();
  t.equal((await holder.ended).code, 0);
  t.same((await readSandboxes(status)).rows, []);
});
