// SPDX-License-Identifier: Apache-2.0
// kata-agent removes the directory of its own socket in CreateSandbox, and the development agent does the same. From then on
// only a connection that was made before reaches it, and everything has to go through that one.
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider } from '../../kit/cabled-provider.js';
import { temporary } from '../../kit/directory.js';
import { dialAgent, startContainer, startPod, status } from '../../kit/shim.js';

t.test('a cut after CreateSandbox costs a pod nothing, not even a line of its output', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const path = await startPod(rig.hypervisor, 'hidden');
  const { client, agent, health } = await dialAgent(path);
  t.teardown(() => client.close());
  await agent.CreateSandbox({ sandboxId: 'hidden' });
  t.notOk(existsSync(provider.vm.agentSocket), 'the agent has removed its socket');
  await startContainer(agent, 'c', 'for i in $(seq 60); do echo line $i; sleep 0.05; done; exit 7');
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  const reading = (async () => {
    let text = '';
    for (;;) {
      try {
        const { data } = await agent.ReadStdout({ containerId: 'c', execId: 'c', len: 32_768 });
        text += Buffer.from(data).toString();
      } catch {
        return text;
      }
    }
  })();
  await sleep(300);
  await cable.cut();
  const held = health.Check({});
  await sleep(1_500);
  await cable.mend();
  t.match(await held, { status: 1 });
  t.match(await waiting, { status: 7 });
  t.equal(await reading, Array.from({ length: 60 }, (_, i) => `line ${i + 1}\n`).join(''));

  const second = await dialAgent(path);
  t.match(await second.health.Check({}), { status: 1 }, 'a second client of the same pod is served');
  second.client.close();
});

t.test('a forwarder that is started anew says what it cannot reach', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1', {
    forwarderFlags: ['-agent-timeout=300ms'],
  });
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const { client, agent, health } = await dialAgent(await startPod(rig.hypervisor, 'lost'));
  t.teardown(() => client.close());
  await agent.CreateSandbox({ sandboxId: 'lost' });
  await provider.vm.forwarder.kill('SIGKILL');
  const held = health.Check({});
  await provider.vm.startForwarder();
  t.match(await provider.vm.forwarder.said('agent out of reach'), { level: 'error' });
  await t.rejects(held, status(14, /its socket has been removed.*delete the pod/));
});

t.test('a pod that is stopped is not lost: nobody is warned, and nothing is dialled', async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const { client, agent } = await dialAgent(await startPod(rig.hypervisor, 'stopped'));
  await agent.CreateSandbox({ sandboxId: 'stopped' });
  const event = agent.GetOOMEvent({}).catch(() => {});
  const { vm } = provider;
  const taken = cable.taken;
  await agent.DestroySandbox({}).catch(() => {});
  await client.closed;
  await event;
  await rig.hypervisor.StopVM({ id: 'stopped' });
  t.equal(cable.taken, taken, 'no link was dialled');
  t.match(await vm.forwarder.said('link closed', line => line['why'] === 'stopped'), {
    level: 'info',
  });
  t.notMatch(await rig.metrics(), /\npeerpod_link_losses_total\{[^}]*\} [1-9]/);
  t.same(
    vm.forwarder.lines().filter(line => line['level'] === 'warn' && line['msg'] !== 'agent awaited'),
    [],
  );
});
