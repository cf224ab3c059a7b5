// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { findProcesses, plainNode, readAll, runScript, startAgent, status, until } from './running-agent.js';

t.test('the program says that it isolates nothing: in its help, and in the log at start', async t => {
  const help = spawnSync('env', [...plainNode, '-help'], { encoding: 'utf8' });
  t.equal(help.status, 0);
  t.match(help.stdout, /NOTHING IS ISOLATED/);
  t.match(help.stdout, /socket/);
  const { log, socket, root } = await startAgent(t);
  t.match(log.at(-1), { level: 'warn', msg: 'agent started without isolation', socket, root });
});

t.test('wrong flags are refused before anything opens', async t => {
  const run = (...argv: string[]) => spawnSync('env', [...plainNode, ...argv], { encoding: 'utf8' });
  t.match(run('-sokcet', 'x'), { status: 1, stderr: /peerpod-dev-agent: .*sokcet/ });
  t.match(run('-log-level', 'loud'), { status: 1, stderr: /log-level/ });
  t.match(run('stray'), { status: 1, stderr: /stray/ });
  t.match(run('-version'), { status: 0, stdout: /peerpod-dev-agent/ });
});

t.test('a socket that a running agent holds is left to it', async t => {
  const { socket, root, agent } = await startAgent(t);
  const second = spawnSync('env', [...plainNode, '-socket', socket, '-root', root], { encoding: 'utf8' });
  t.match(second, { status: 1, stderr: /is in use: a running process answers/ });
  t.ok(await agent.GetGuestDetails({}), 'the first one still answers');
});

t.test('told to end, the agent ends everything it started and answers who waited', async t => {
  const { agent, child, socket } = await startAgent(t);
  const tag = `303.${process.pid}`;
  await runScript(agent, 'c1', `setsid sleep ${tag}1 & trap "" TERM; sleep ${tag}2`);
  await until(() => findProcesses(`sleep\0${tag}`).length === 2);
  const waiting = agent.WaitProcess({ containerId: 'c1', execId: 'c1' });
  const reading = readAll(agent.ReadStdout, 'c1');
  const oom = t.rejects(agent.GetOOMEvent({}), status(14, /the agent ends/));
  await agent.GetGuestDetails({});
  child.kill('SIGTERM');
  t.equal((await waiting).status, 137);
  t.equal(await reading, '');
  await oom;
  const [code] = await once(child, 'exit');
  t.equal(code, 0);
  t.strictSame(findProcesses(`sleep\0${tag}`), []);
  t.notOk(existsSync(socket));
});

t.test('a sandbox takes the directory of containers and the socket away, as in kata-agent', async t => {
  const { agent, health, socket, root, connect } = await startAgent(t);
  mkdirSync(join(root, 'run/kata-containers/shared'), { recursive: true });
  symlinkSync('/etc', join(root, 'run/kata-containers/link'));
  mkdirSync(join(root, 'run/elsewhere'));
  await agent.CreateSandbox({ sandboxId: 's1' });
  t.notOk(existsSync(socket));
  await t.rejects(connect(), 'nobody can connect any more');
  t.strictSame(readdirSync(join(root, 'run/kata-containers')), []);
  t.equal(statSync(join(root, 'run/kata-containers')).mode & 0o777, 0o700);
  t.ok(existsSync(join(root, 'run/elsewhere')) && existsSync('/etc/passwd'), 'and nothing else went');
  t.equal((await health.Check({})).status, 1, 'who was connected is served on');
});

t.test('a socket that is to be kept stays, wherever it lies', async t => {
  const { agent, socket, connect } = await startAgent(t, {}, undefined, ['-keep-socket']);
  await agent.CreateSandbox({ sandboxId: 's1' });
  t.ok(existsSync(socket));
  await t.resolves(connect());
});

t.test('the end of the sandbox is the end of the agent, after its answer', async t => {
  const { agent, child } = await startAgent(t);
  const exit = once(child, 'exit');
  await agent.CreateSandbox({ sandboxId: 's1' });
  await runScript(agent, 'c1', 'exec sleep 300');
  const oom = t.rejects(agent.GetOOMEvent({}), status(14, /the agent ends/));
  t.ok(await agent.DestroySandbox({}));
  await oom;
  t.strictSame(await exit, [0, null]);
});

t.test("the machine's own directory is left alone where others have put files into it", async t => {
  const { RunDirectory } = await import('../src/run-directory.js');
  const root = realpathSync(t.testdir({ run: { 'kata-containers': { shared: { x: '' } } } }));
  const warned: unknown[] = [];
  const log = pino({ level: 'warn' }, { write: line => void warned.push(JSON.parse(line)) });
  const options = { socket: join(root, 'a.sock'), keepSocket: false, log };
  // With `/` as the guest this would be /run/kata-containers of the machine that the test runs on.
  new RunDirectory({ ...options, root, ownMachine: true }).clear();
  t.ok(existsSync(join(root, 'run/kata-containers/shared/x')));
  t.match(warned, [{ msg: /directory kept/ }]);
  new RunDirectory({ ...options, root }).clear();
  t.strictSame(readdirSync(join(root, 'run/kata-containers')), []);
  rmSync(join(root, 'run'), { recursive: true });
  mkdirSync(join(root, 'away/kata-containers/kept'), { recursive: true });
  symlinkSync('away', join(root, 'run'));
  new RunDirectory({ ...options, root }).clear();
  t.ok(existsSync(join(root, 'away/kata-containers/kept')), 'nor through a link');
});

t.test('the marks of those who started the agent reach every process', async t => {
  const { agent } = await startAgent(t, {
    PEERPOD_LOCAL_VM: 'vm-1',
    PEERPOD_DEMO: '/tmp/demo',
    PEERPOD_OTHER: 'x',
  });
  await runScript(
    agent,
    'c1',
    'echo "$PEERPOD_LOCAL_VM $PEERPOD_DEMO [$PEERPOD_OTHER] $PATH"; exec sleep 300',
    ['PEERPOD_LOCAL_VM=forged'],
  );
  const { data } = await agent.ReadStdout({ containerId: 'c1', execId: 'c1', len: 1000 });
  t.match(Buffer.from(data).toString(), /^vm-1 \/tmp\/demo \[\] \/usr.*\/bin\n$/);
});

t.test('containers of two agents with the same names do not reach each other', async t => {
  const one = await startAgent(t);
  const two = await startAgent(t);
  const tag = `304.${process.pid}`;
  for (const { agent } of [one, two]) await runScript(agent, 'c1', `exec sleep ${tag}`);
  await until(() => findProcesses(`sleep\0${tag}`).length === 2);
  await one.agent.RemoveContainer({ containerId: 'c1' });
  t.equal(findProcesses(`sleep\0${tag}`).length, 1);
  t.ok(await two.agent.StatsContainer({ containerId: 'c1' }));
  await t.rejects(one.agent.StatsContainer({ containerId: 'c1' }), status(5));
});

const notRoot = process.geteuid?.() !== 0 && 'needs root to become somebody else';

t.test('run by an ordinary user, everything runs as that user', { skip: notRoot }, async t => {
  const { agent } = await startAgent(t, {}, 65_534);
  const Process = { Args: ['id', '-u'], Cwd: '/', User: { UID: 0, GID: 0 } };
  await agent.CreateContainer({ containerId: 'c1', OCI: { Process } });
  await agent.StartContainer({ containerId: 'c1' });
  t.equal(await readAll(agent.ReadStdout, 'c1'), '65534\n');
});

t.test('run by root, a process runs as the user it asks for', { skip: notRoot }, async t => {
  const { agent } = await startAgent(t);
  const Process = { Args: ['sh', '-c', 'id -u; id -g; id -G'], Cwd: '/', User: { UID: 65_534, GID: 65_533 } };
  await agent.CreateContainer({ containerId: 'c1', OCI: { Process } });
  await agent.StartContainer({ containerId: 'c1' });
  t.equal(await readAll(agent.ReadStdout, 'c1'), '65534\n65533\n65533\n');
});
