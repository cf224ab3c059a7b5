// SPDX-License-Identifier: Apache-2.0
// The network between worker and pod VM goes away for two seconds. A shim must not notice, except where nobody can know
// whether its call was run.
import { mkdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider } from '../../kit/cabled-provider.js';
import { temporary } from '../../kit/directory.js';
import { dialAgent, startContainer, startPod, status } from '../../kit/shim.js';

const CUT_MS = 2_000;
/** As with a forwarder that does not resume links: an older one, or upstream's. */
const NOT_RESUMED = ['-link-grace=0s'];

/** A command that leaves a line in a file each time it runs. */
const execRequest = (execId: string, directory: string) => ({
  containerId: 'c',
  execId,
  process: {
    Args: ['sh', '-c', `echo ran >> ${directory}/${execId}`],
    Env: ['PATH=/usr/bin:/bin'],
    Cwd: '/',
    User: { UID: 0, GID: 0 },
  },
});

t.test('what may run twice survives a cut, what may not is answered, and the connection stays', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1', { forwarderFlags: NOT_RESUMED });
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const shim = await dialAgent(await startPod(rig.hypervisor, 'cut'));
  t.teardown(() => shim.client.close());
  const { agent, health } = shim;
  await startContainer(agent, 'c', `while ! [ -e ${directory}/done ]; do sleep 0.05; done; exit 7`);

  let gone = false;
  void shim.client.closed.then(() => (gone = true));
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  const event = agent.GetOOMEvent({});
  let eventEnded = false;
  event.catch(() => {}).finally(() => (eventEnded = true));
  // A call that changes something, on its way when the cable goes: the agent has it, the answer will never come.
  provider.vm.agent.child.kill('SIGSTOP');
  const exec = agent.ExecProcess(execRequest('before', directory));
  const execEnds = t.rejects(exec, status(14, /the link to the pod VM was cut while this call was open/));
  await sleep(50);
  await cable.cut();
  provider.vm.agent.child.kill('SIGCONT');
  const cutAt = Date.now();
  await execEnds;
  t.ok(Date.now() - cutAt < 1_000, 'the answer does not wait for the new link');

  const checks: Promise<unknown>[] = [];
  const beat = setInterval(() => checks.push(health.Check({})), 100);
  t.teardown(() => clearInterval(beat));
  const held = agent.GetGuestDetails({});
  // Made while nothing is there, and may not run twice: it has never left, so it is sent once.
  const executed = agent.ExecProcess(execRequest('during', directory));
  await sleep(CUT_MS);
  await cable.mend();
  t.ok(await held, 'a call made during the cut is held and answered');
  await t.resolves(executed, 'also one that may not run twice');
  t.match(await agent.WaitProcess({ containerId: 'c', execId: 'during' }), { status: 0 });
  t.equal(readFileSync(`${directory}/during`, 'utf8'), 'ran\n', 'it ran once');
  clearInterval(beat);
  const answers = await Promise.allSettled(checks);
  t.ok(answers.length >= 15, `${answers.length} health checks were made during the cut`);
  t.same(
    answers.filter(answer => answer.status === 'rejected'),
    [],
    'and none failed',
  );
  mkdirSync(`${directory}/done`);
  t.match(await waiting, { status: 7 }, 'the wait that was open through the cut gives the true exit code');
  t.notOk(eventEnded, 'the wait for events goes on');
  t.notOk(gone, "the shim's connection is the same");
  t.match(await rig.said('link redialled'), { sandbox: 'cut', failed: 1, replayed: 2 });
  const metrics = await rig.metrics();
  t.ok(metrics.includes('\npeerpod_redials_total{result="ok"} 1\n'), 'it is counted');
  t.match(
    metrics,
    /\npeerpod_link_losses_total\{cause="(?:reset|closed)"\} 1\n/,
    'with the cause of the loss',
  );
});

t.test('a link that is resumed loses no call, not even one that may not run twice', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const { client, agent, health } = await dialAgent(await startPod(rig.hypervisor, 'kept'));
  t.teardown(() => client.close());
  await startContainer(agent, 'c', 'sleep 600');
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  // On its way when the cable goes: the agent has it, and answers into a link that is not there.
  provider.vm.agent.child.kill('SIGSTOP');
  const exec = agent.ExecProcess(execRequest('before', directory));
  await sleep(50);
  await cable.cut();
  provider.vm.agent.child.kill('SIGCONT');
  const during = agent.ExecProcess(execRequest('during', directory));
  const check = health.Check({});
  await sleep(CUT_MS);
  await cable.mend();
  await Promise.all([exec, during, check]);
  for (const execId of ['before', 'during']) {
    t.match(await agent.WaitProcess({ containerId: 'c', execId }), { status: 0 });
    t.equal(readFileSync(`${directory}/${execId}`, 'utf8'), 'ran\n', `${execId} ran once`);
  }
  await rig.said('link resumed');
  await agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 9 });
  t.match(await waiting, { status: 137 });
  const metrics = await rig.metrics();
  t.ok(metrics.includes('\npeerpod_redials_total{result="resumed"} 1\n'), 'it is counted');
  t.match(metrics, /\npeerpod_link_losses_total\{cause="(?:reset|closed)"\} 1\n/, 'with its cause');
});

t.test('cut again and again, the same connection goes on', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const { client, agent, health } = await dialAgent(await startPod(rig.hypervisor, 'often'));
  t.teardown(() => client.close());
  await startContainer(agent, 'c', 'sleep 600');
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  for (let round = 0; round < 8; round += 1) {
    const check = health.Check({});
    await cable.cut();
    await cable.mend();
    t.match(await check, { status: 1 });
  }
  await agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 9 });
  t.match(await waiting, { status: 137 });
});

t.test('a forwarder that is killed and started again is found again', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const { client, agent } = await dialAgent(await startPod(rig.hypervisor, 'again'));
  t.teardown(() => client.close());
  await startContainer(agent, 'c', 'sleep 600');
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  await agent.GetGuestDetails({});
  await provider.vm.forwarder.kill('SIGKILL');
  const details = agent.GetGuestDetails({});
  await provider.vm.startForwarder();
  t.ok(await details);
  t.match(await rig.metrics(), /\npeerpod_link_losses_total\{cause="(?:closed|reset)"\} 1\n/);
  await agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 9 });
  t.match(await waiting, { status: 137 });
});

t.test("a cut longer than the budget ends the shim's connection, and StopVM still works", async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1', { forwarderFlags: NOT_RESUMED });
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const redialBudgetMs = 1_000;
  const rig = await startInProcess(t, { directory, provider, port: cable.port, timing: { redialBudgetMs } });
  const path = await startPod(rig.hypervisor, 'long');
  const { client, health } = await dialAgent(path);
  await health.Check({});
  await cable.cut();
  const began = Date.now();
  await t.rejects(health.Check({}), { code: 'ERR_TTRPC_CLOSED', message: 'ttrpc: closed' });
  await client.closed;
  const took = Date.now() - began;
  t.ok(took < redialBudgetMs + 1_500, `closed after ${took} ms`);
  t.match(await rig.said('shim connection closed'), { level: 'warn', sandbox: 'long', why: 'upstream-lost' });
  const metrics = await rig.metrics();
  t.ok(metrics.includes('\npeerpod_redials_total{result="failed"} 1\n'), 'it is counted');
  t.match(
    metrics,
    /\npeerpod_redial_failures_total\{cause="closed-port"\} 1\n/,
    'with what the last try met',
  );
  await cable.mend();
  const again = await dialAgent(path);
  t.match(await again.health.Check({}), { status: 1 }, 'a new connection works as soon as the VM is back');
  again.client.close();
  await cable.cut();
  await rig.hypervisor.StopVM({ id: 'long' });
  t.strictSame(provider.deleted, ['vm1']);
});
