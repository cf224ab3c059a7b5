// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentService } from '@peerpod-tls/agent-protocol';
import { clientOf } from '@peerpod-tls/ttrpc';
import t from 'tap';
import {
  findProcesses,
  readAll,
  runScript,
  startAgent,
  status,
  until,
  type RunningAgent,
} from './running-agent.js';

let running: RunningAgent;
t.before(async () => {
  running = await startAgent(t, {}, undefined, ['-keep-socket', '-outlive-sandbox']);
});
t.afterEach(async () => {
  await running.agent.DestroySandbox({});
});

t.test('a container runs its process, and its output and exit code are the true ones', async t => {
  const { agent } = running;
  await agent.CreateSandbox({ sandboxId: 'pod1' });
  await runScript(agent, 'c1', 'echo "hello $WHO"; echo trouble >&2; pwd; exit 42', ['WHO=world']);
  const waited = agent.WaitProcess({ containerId: 'c1', execId: 'c1' });
  const out = readAll(agent.ReadStdout, 'c1');
  const err = readAll(agent.ReadStderr, 'c1');
  t.match(await out, /^hello world\n\/.*root\n$/);
  t.equal(await err, 'trouble\n');
  t.equal((await waited).status, 42);
  t.equal(
    (await agent.WaitProcess({ containerId: 'c1', execId: '' })).status,
    42,
    'asking later gives the same',
  );
});

t.test('stdin reaches the process and its end does too', async t => {
  const { agent } = running;
  await runScript(agent, 'c1', 'cat; echo done');
  const process = { containerId: 'c1', execId: 'c1' };
  t.equal((await agent.WriteStdin({ ...process, data: Buffer.from('first\n') })).len, 6);
  t.equal(Buffer.from((await agent.ReadStdout({ ...process, len: 100 })).data).toString(), 'first\n');
  await agent.WriteStdin({ ...process, data: Buffer.from('second\n') });
  await agent.CloseStdin(process);
  t.equal(await readAll(agent.ReadStdout, 'c1'), 'second\ndone\n');
  t.equal((await agent.WaitProcess(process)).status, 0);
  await t.rejects(agent.WriteStdin({ ...process, data: Buffer.from('x') }), status(9, /stdin .* closed/));
});

t.test('a process that a signal ends has 128 and the signal as its code', async t => {
  const { agent } = running;
  await runScript(agent, 'c1', 'exec sleep 300');
  await agent.SignalProcess({ containerId: 'c1', execId: 'c1', signal: 15 });
  t.equal((await agent.WaitProcess({ containerId: 'c1', execId: 'c1' })).status, 143);
  await t.rejects(agent.SignalProcess({ containerId: 'c1', execId: 'c1', signal: 15 }), status(5));
  await t.rejects(agent.SignalProcess({ containerId: 'c1', execId: 'c1', signal: 0 }), status(3));
  await t.rejects(agent.SignalProcess({ containerId: 'c1', execId: 'c1', signal: 65 }), status(3));
});

t.test('a signal without process id reaches everybody, also who left the session', async t => {
  const { agent } = running;
  const tag = `300.${process.pid}`;
  await runScript(agent, 'c1', `setsid sleep ${tag}1 & sleep ${tag}2 & echo up; wait; sleep ${tag}3`);
  await agent.ReadStdout({ containerId: 'c1', execId: 'c1', len: 10 });
  await until(() => findProcesses(`sleep\0${tag}`).length === 2);
  await agent.SignalProcess({ containerId: 'c1', execId: '', signal: 9 });
  t.equal((await agent.WaitProcess({ containerId: 'c1', execId: 'c1' })).status, 137);
  await agent.RemoveContainer({ containerId: 'c1' });
  t.strictSame(findProcesses(`sleep\0${tag}`), []);
});

t.test('when the first process ends, the others of its container end too', async t => {
  const { agent } = running;
  const tag = `301.${process.pid}`;
  await runScript(agent, 'c1', `sleep ${tag} & exit 3`);
  t.equal((await agent.WaitProcess({ containerId: 'c1', execId: 'c1' })).status, 3);
  t.equal(await readAll(agent.ReadStdout, 'c1'), '', 'the pipe the other one held is closed');
  t.strictSame(findProcesses(`sleep\0${tag}`), []);
});

t.test('processes executed in a container have their own streams and codes', async t => {
  const { agent } = running;
  await runScript(agent, 'c1', 'exec sleep 300');
  const run = async (execId: string, script: string) => {
    await agent.ExecProcess({
      containerId: 'c1',
      execId,
      process: { Args: ['/bin/sh', '-c', script], Cwd: '/' },
    });
    const [out, waited] = await Promise.all([
      readAll(agent.ReadStdout, 'c1', execId),
      agent.WaitProcess({ containerId: 'c1', execId }),
    ]);
    return [out, waited.status];
  };
  t.strictSame(await Promise.all([run('e1', 'echo one; exit 1'), run('e2', 'echo two; exit 2')]), [
    ['one\n', 1],
    ['two\n', 2],
  ]);
  t.equal((await agent.WaitProcess({ containerId: 'c1', execId: 'e1' })).status, 1, 'the code is kept');
  await agent.ExecProcess({ containerId: 'c1', execId: 'e3', process: { Args: ['sleep', '300'], Cwd: '/' } });
  await t.rejects(
    agent.ExecProcess({ containerId: 'c1', execId: 'e3', process: { Args: ['true'], Cwd: '/' } }),
    status(6, /process e3 already/),
  );
  await agent.SignalProcess({ containerId: 'c1', execId: 'e3', signal: 9 });
  t.equal((await agent.WaitProcess({ containerId: 'c1', execId: 'e3' })).status, 137);
});

t.test('reading waits for output without holding up other calls', async t => {
  const { agent } = running;
  await runScript(agent, 'c1', 'read line; echo "got $line"');
  const pending = agent.ReadStdout({ containerId: 'c1', execId: 'c1', len: 100 });
  const waiting = agent.WaitProcess({ containerId: 'c1', execId: 'c1' });
  t.equal((await agent.GetGuestDetails({})).agentDetails?.initDaemon, false);
  await agent.WriteStdin({ containerId: 'c1', execId: 'c1', data: Buffer.from('it\n') });
  t.equal(Buffer.from((await pending).data).toString(), 'got it\n');
  t.equal((await waiting).status, 0);
});

t.test('a reader that goes away consumes nothing', async t => {
  const { agent, connect } = running;
  await runScript(agent, 'c1', 'read line; echo kept');
  const leaver = await connect();
  const lost = clientOf(agentService, leaver).ReadStdout({ containerId: 'c1', execId: 'c1', len: 100 });
  const refused = t.rejects(lost, { code: 'ERR_TTRPC_CLOSED' });
  await agent.GetGuestDetails({});
  leaver.close();
  await refused;
  await agent.WriteStdin({ containerId: 'c1', execId: 'c1', data: Buffer.from('\n') });
  t.equal(await readAll(agent.ReadStdout, 'c1'), 'kept\n');
});

t.test('a process that writes without being read is held back, and nothing is lost', async t => {
  const { agent, child } = running;
  const size = 50_000_000;
  await runScript(agent, 'c1', `head -c ${size} /dev/zero; echo -n end`);
  // The reader starts late: whatever the agent took in meanwhile would show in its memory.
  const first = await agent.ReadStdout({ containerId: 'c1', execId: 'c1', len: 4096 });
  const resident = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0);
  const before = resident();
  let total = first.data.length;
  for (;;) {
    const piece = await agent
      .ReadStdout({ containerId: 'c1', execId: 'c1', len: 10_000_000 })
      .catch(() => null);
    if (piece === null) break;
    total += piece.data.length;
  }
  t.equal(total, size + 3);
  t.ok(before < 150_000, `${before} kB resident with 50 MB waiting to be written`);
});

t.test('what cannot be run is refused with the reason, and waiting for it does not hang', async t => {
  const { agent } = running;
  const create = (containerId: string, Process: object) =>
    agent.CreateContainer({ containerId, OCI: { Process } });
  await t.rejects(create('a', { Args: [] }), status(3, /no Args/));
  await t.rejects(agent.CreateContainer({ containerId: 'a' }), status(3, /no OCI/));
  await t.rejects(agent.CreateContainer({ containerId: 'a', OCI: {} }), status(3, /no process/));
  await t.rejects(create('a', { Args: ['x'], Env: ['NOEQUALS'] }), status(3, /NAME=value/));
  await t.rejects(create('a', { Args: ['x\0y'] }), status(3, /zero byte/));
  await t.rejects(create('a', { Args: ['x'], Cwd: '/../../etc' }), status(3, /canonical/));
  await create('a', { Args: ['no-such-program'], Cwd: '/' });
  await t.rejects(agent.StartContainer({ containerId: 'a' }), status(5, /cannot run "no-such-program"/));
  t.equal((await agent.WaitProcess({ containerId: 'a', execId: 'a' })).status, 127);
  await t.rejects(agent.StartContainer({ containerId: 'a' }), status(9, /started already/));
  await create('b', { Args: ['/etc/passwd'], Cwd: '/' });
  await t.rejects(agent.StartContainer({ containerId: 'b' }), status(7, /cannot run/));
  t.equal((await agent.WaitProcess({ containerId: 'b', execId: 'b' })).status, 126);
});

t.test('ids are checked, and unknown and doubled ones refused', async t => {
  const { agent } = running;
  await runScript(agent, 'c1', 'exec sleep 300');
  const OCI = { Process: { Args: ['true'] } };
  for (const containerId of ['', '..', '../x', 'a/b', '-x', 'x'.repeat(129), 'a\0']) {
    await t.rejects(agent.CreateContainer({ containerId, OCI }), status(3, /container_id/), containerId);
  }
  await t.rejects(agent.CreateContainer({ containerId: 'c1', OCI }), status(6, /c1 exists already/));
  await t.rejects(agent.StartContainer({ containerId: 'nope' }), status(5, /no container "nope"/));
  await t.rejects(agent.WaitProcess({ containerId: 'c1', execId: 'nope' }), status(5, /no process nope/));
  await t.rejects(
    agent.ExecProcess({ containerId: 'c1', execId: '../e', process: { Args: ['true'] } }),
    status(3),
  );
  await t.rejects(
    agent.ExecProcess({ containerId: 'c1', execId: 'c1', process: { Args: ['true'], Cwd: '/' } }),
    status(6),
  );
  await agent.CreateSandbox({ sandboxId: 's' });
  await t.rejects(agent.CreateSandbox({ sandboxId: 's' }), status(6));
});

t.test('waiting for a container that is not started yet ends with the container', async t => {
  const { agent } = running;
  await agent.CreateContainer({ containerId: 'c1', OCI: { Process: { Args: ['true'], Cwd: '/' } } });
  const waiting = agent.WaitProcess({ containerId: 'c1', execId: 'c1' });
  const reading = t.rejects(agent.ReadStdout({ containerId: 'c1', execId: 'c1', len: 1 }), {
    message: /never ran/,
  });
  await agent.GetGuestDetails({});
  await agent.RemoveContainer({ containerId: 'c1' });
  t.equal((await waiting).status, 137);
  await reading;
  await t.rejects(agent.WaitProcess({ containerId: 'c1', execId: 'c1' }), status(5));
});

t.test('pausing stops a container and resuming lets it go on', async t => {
  const { agent } = running;
  const tag = `302.${process.pid}`;
  await runScript(agent, 'c1', `exec sleep ${tag}`);
  await until(() => findProcesses(`sleep\0${tag}`).length === 1);
  const [pid] = findProcesses(`sleep\0${tag}`);
  const state = (): string | undefined => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0];
  await agent.PauseContainer({ containerId: 'c1' });
  t.equal(state(), 'T');
  await agent.ResumeContainer({ containerId: 'c1' });
  t.not(state(), 'T');
  await agent.PauseContainer({ containerId: 'c1' });
  await agent.RemoveContainer({ containerId: 'c1' });
  t.strictSame(findProcesses(`sleep\0${tag}`), [], 'a stopped one dies as well');
});

t.test('two hundred executed processes leave no zombie and no descriptor behind', async t => {
  const { agent, child } = running;
  await runScript(agent, 'c1', 'exec sleep 300');
  const descriptors = (): number => readdirSync(join('/proc', String(child.pid), 'fd')).length;
  const before = descriptors();
  for (let round = 0; round < 10; round++) {
    const ids = Array.from({ length: 20 }, (_, index) => `e${round}.${index}`);
    await Promise.all(
      ids.map(async execId => {
        await agent.ExecProcess({ containerId: 'c1', execId, process: { Args: ['/bin/true'], Cwd: '/' } });
        await readAll(agent.ReadStdout, 'c1', execId);
        await readAll(agent.ReadStderr, 'c1', execId);
        t.equal((await agent.WaitProcess({ containerId: 'c1', execId })).status, 0);
      }),
    );
  }
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
  t.equal(children.length, 1, 'only the container is left');
  t.ok(descriptors() <= before + 2, `${before} descriptors before, ${descriptors()} after`);
});

t.test("the sandbox's own container pauses where the machine has no pause program", async t => {
  const { agent } = running;
  const Annotations = { 'io.kubernetes.cri.container-type': 'sandbox' };
  const Process = { Args: ['/no/such/pause'], Cwd: '/' };
  await agent.CreateContainer({ containerId: 'own', OCI: { Process, Annotations } });
  await agent.StartContainer({ containerId: 'own' });
  const ended = agent.WaitProcess({ containerId: 'own', execId: 'own' });
  // It has set its trap once it sleeps.
  for (let processes = 0; processes < 2;) {
    const { cgroupStats } = await agent.StatsContainer({ containerId: 'own' });
    processes = Number(cgroupStats?.pidsStats?.current);
  }
  await agent.SignalProcess({ containerId: 'own', execId: 'own', signal: 15 });
  t.equal((await ended).status, 0, 'as pause does when it is told to end');
  await agent.CreateContainer({ containerId: 'other', OCI: { Process } });
  await t.rejects(agent.StartContainer({ containerId: 'other' }), status(5, /cannot run/));
});

t.test('a container that failed to start is ended like any other', async t => {
  const { agent } = running;
  await agent.CreateSandbox({ sandboxId: 'failing' });
  const Process = { Args: ['/no/such/program'], Cwd: '/' };
  await agent.CreateContainer({ containerId: 'failing', OCI: { Process } });
  await t.rejects(agent.StartContainer({ containerId: 'failing' }), status(5, /cannot run/));
  t.equal((await agent.WaitProcess({ containerId: 'failing', execId: 'failing' })).status, 127);
  await agent.RemoveContainer({ containerId: 'failing' });
  await t.rejects(agent.StatsContainer({ containerId: 'failing' }), status(5));
});
