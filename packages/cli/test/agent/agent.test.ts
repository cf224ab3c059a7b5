// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { agentMethods } from '@peerpod-tls/agent-protocol';
import t from 'tap';
import { call } from '../support/in-process.js';
import { Peerpod, peerpod, shortDirectory } from '../support/program.js';

const dir = shortDirectory(t);
const socket = join(dir, 'agent.sock');
const program = fileURLToPath(new URL('../../../dev-agent/bin/peerpod-dev-agent.js', import.meta.url));
const agent = spawn(process.execPath, [program, '-socket', socket, '-root', dir], { stdio: 'ignore' });
const gone = once(agent, 'close');
t.teardown(async () => {
  agent.kill('SIGTERM');
  await gone;
});
while (!existsSync(socket) && agent.exitCode === null) await sleep(10);

t.test('a method is called with an empty request, and its answer printed as JSON', async t => {
  const { code, stdout, stderr } = await peerpod(t, ['agent', 'Check', '--socket', socket]);
  t.equal(code, 0, stderr);
  t.equal(stdout, '{\n  "status": "SERVING"\n}\n');
  t.equal(stderr, '');
});

t.test('letter case, dashes and the name of the service are optional', async t => {
  for (const name of ['check', 'grpc.Health/Check', 'grpc.health/check', 'CHECK']) {
    const { code, stdout } = await call(['agent', name, '-compact'], {
      env: { PEERPOD_AGENT_SOCKET: socket },
    });
    t.equal(code, 0, name);
    t.equal(stdout, '{"status":"SERVING"}\n', name);
  }
  const details = await call(['agent', 'get-guest-details', '-socket', socket]);
  t.equal(details.code, 0);
  t.type(JSON.parse(details.stdout).agent_details.version, 'string');
});

t.test('the request comes from the command line, a file or standard input', async t => {
  const request = '{"container_id":"nobody"}';
  const file = join(dir, 'request.json');
  writeFileSync(file, request);
  for (const [input, stdin] of [[request], [`@${file}`], ['-', request]] as const) {
    const { code, stderr } = await call(
      ['agent', 'StatsContainer', input, '-socket', socket],
      stdin === undefined ? {} : { stdin },
    );
    t.equal(code, 1, input);
    t.match(stderr, /StatsContainer failed with NotFound \(5\): .*nobody/, input);
  }
});

t.test('with -json a failed call is an object on standard output', async t => {
  const { code, stdout, stderr } = await call([
    'agent',
    'StartContainer',
    '{"containerId":"no"}',
    '-json',
    '-socket',
    socket,
  ]);
  t.equal(code, 1);
  t.match(JSON.parse(stdout), { error: { status: 5, name: 'NotFound', message: /no/ } });
  t.equal(stderr, '');
});

t.test('requests that cannot be are refused before anything is sent', async t => {
  const rows: readonly (readonly [string[], RegExp])[] = [
    [['Check', '{nonsense'], /the request is not JSON.*\n {2}quote it for the shell/],
    [['Check', `@${join(dir, 'missing')}`], /missing cannot be read/],
    [['StatsContainer', '{"container":"x"}'], /StatsContainer has no field "container"\n {2}.*container_id/],
    [['StatsContainer', '{"container_id":7}'], /container_id/],
    [['StatsContainer', '[]'], /StatsContainer/],
  ];
  for (const [argv, words] of rows) {
    const { code, stderr } = await call(['agent', ...argv, '-socket', socket]);
    t.equal(code, 1, argv.join(' '));
    t.match(stderr, words, argv.join(' '));
  }
});

t.test('the list names all methods and marks those that wait', async t => {
  const { stdout } = await call(['agent', 'list']);
  for (const method of agentMethods) t.match(stdout, new RegExp(`^  ${method}( |$)`, 'm'), method);
  t.match(stdout, /^ {2}WaitProcess +waits +container_id, exec_id$/m);
  t.match(stdout, /^grpc\.Health\n {2}Check/m);
  const one = await call(['agent', 'list', 'waitprocess']);
  t.match(
    one.stdout,
    /WaitProcess {2}grpc\.AgentService\n {2}waits without limit.*\n\nrequest:\n {2}container_id +string/,
  );
});

t.test('sockets without an agent behind them are told apart', async t => {
  const missing = await call(['agent', 'Check', '-socket', join(dir, 'none.sock')]);
  t.equal(missing.code, 1);
  t.match(missing.stderr, /cannot connect to .*none\.sock: ENOENT/);

  const silent = createServer(() => {}).listen(join(dir, 'silent.sock'));
  const hangsUp = createServer(s => s.destroy()).listen(join(dir, 'hangs-up.sock'));
  await Promise.all([once(silent, 'listening'), once(hangsUp, 'listening')]);
  t.teardown(() => hangsUp.close());
  const late = await call(['agent', 'Check', '-timeout', '100ms', '-socket', join(dir, 'silent.sock')]);
  t.equal(late.code, 1);
  t.match(late.stderr, /Check failed with DeadlineExceeded \(4\)/);
  const closed = await call(['agent', 'Check', '-socket', join(dir, 'hangs-up.sock')]);
  t.equal(closed.code, 1);
  t.match(closed.stderr, /Check failed: the connection was closed before the answer came/);

  const waiting = new Peerpod(t, ['agent', 'GetOOMEvent', '-socket', join(dir, 'silent.sock')]);
  const [peer] = await once(silent, 'connection');
  await once(peer, 'data');
  waiting.child.kill('SIGINT');
  t.equal((await waiting.ended).code, 130, 'a call that waits is given up by Ctrl-C');
  t.equal(waiting.stderr, '');
  silent.close();
});
