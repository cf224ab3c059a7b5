// SPDX-License-Identifier: Apache-2.0
// The agent at the far end of the path: not there yet, killed while calls are open, or alive and silent.
import t from 'tap';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider } from '../../kit/cabled-provider.js';
import { temporary } from '../../kit/directory.js';
import { annotations, dialAgent, startContainer, startPod, status } from '../../kit/shim.js';

t.test('StartVM waits for an agent that comes late', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1', {
    boot: async vm => {
      await vm.provision();
      await vm.startForwarder();
    },
  });
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  await rig.hypervisor.CreateVM({ id: 'late', annotations: annotations('p'), networkNamespacePath: '' });
  let started = false;
  const starting = rig.hypervisor.StartVM({ id: 'late' }).then(() => (started = true));
  await rig.said('instance created');
  await provider.vm.forwarder.said('agent awaited');
  t.notOk(started, 'a VM without its agent is not a running pod');
  await provider.vm.startAgent();
  await starting;
  const { client, health } = await dialAgent(`${directory}/pods/late/agent.ttrpc`);
  t.match(await health.Check({}), { status: 1 });
  client.close();
});

t.test('an agent that is killed is named to its callers, and the next one serves', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const { client, agent, health } = await dialAgent(await startPod(rig.hypervisor, 'gone'));
  t.teardown(() => client.close());
  let closed = false;
  void client.closed.then(() => (closed = true));
  await startContainer(agent, 'c', 'sleep 600');
  const ended = t.rejects(
    agent.WaitProcess({ containerId: 'c', execId: 'c' }),
    status(14, /the kata-agent on .*agent\.sock/),
    'the open call is answered, with the agent named',
  );
  await agent.GetGuestDetails({});
  await provider.vm.agent.kill('SIGKILL');
  await ended;
  const held = health.Check({});
  await provider.vm.startAgent();
  t.match(await held, { status: 1 }, 'a call made in between is answered by the next agent');
  t.notOk(closed, 'on the same connection');
});

t.test('an agent that hangs costs its callers their own deadlines and nothing else', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const { client, health } = await dialAgent(await startPod(rig.hypervisor, 'hung'));
  t.teardown(() => client.close());
  provider.vm.agent.child.kill('SIGSTOP');
  await t.rejects(health.Check({}, { timeoutMs: 200 }), status(4));
  t.match(await rig.info.GetInfo({ PodName: 'nginx', PodNamespace: 'default' }), { VMID: 'vm1' });
  provider.vm.agent.child.kill('SIGCONT');
  t.match(await health.Check({}), { status: 1 }, 'awake again, the same connection serves');
  provider.vm.agent.child.kill('SIGSTOP');
  await t.resolves(rig.hypervisor.StopVM({ id: 'hung' }), 'StopVM asks nothing of the agent');
  t.strictSame(provider.deleted, ['vm1']);
});
