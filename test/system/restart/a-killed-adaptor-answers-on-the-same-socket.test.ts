// SPDX-License-Identifier: Apache-2.0
// SIGKILL of the adaptor while a command runs in a pod. The pod does not notice, and the next adaptor takes it over.
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { startAdaptor } from '../../kit/adaptor-program.js';
import { temporary } from '../../kit/directory.js';
import { leftovers, nothing } from '../../kit/leftovers.js';
import { dialAgent, startContainer, startPod, status } from '../../kit/shim.js';

t.test('the command goes on, its exit code is the true one, and StopVM leaves nothing', async t => {
  const directory = temporary(t);
  const first = await startAdaptor(t, directory);
  const socket = await startPod(first.hypervisor, 'survivor', 'web');
  const before = await dialAgent(socket);
  await startContainer(before.agent, 'c', `while ! [ -e ${directory}/done ]; do sleep 0.05; done; exit 7`);
  const broken = t.rejects(before.agent.WaitProcess({ containerId: 'c', execId: 'c' }), {
    message: 'ttrpc: closed',
  });
  t.equal((await first.program.kill('SIGKILL')).signal, 'SIGKILL');
  await broken;

  const second = await startAdaptor(t, directory);
  const after = await dialAgent(socket);
  const waiting = after.agent.WaitProcess({ containerId: 'c', execId: 'c' });
  writeFileSync(`${directory}/done`, '');
  t.match(await waiting, { status: 7 });
  const created = await first.program.said('instance created');
  t.match(await second.info.GetInfo({ PodName: 'web', PodNamespace: 'default' }), {
    VMID: created['instance'],
  });
  t.match(JSON.parse(await second.get('/sandboxes')), {
    sandboxes: [{ id: 'survivor', state: 'running', socket, error: '' }],
  });
  await second.hypervisor.StopVM({ id: 'survivor' });
  await t.rejects(
    second.info.GetInfo({ PodName: 'web', PodNamespace: 'default' }, { timeoutMs: 300 }),
    status(5),
  );
  t.match(await second.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});

t.test('SIGTERM ends the adaptor with 0, leaves its pods running, and the next one has them', async t => {
  const directory = temporary(t);
  const first = await startAdaptor(t, directory);
  const socket = await startPod(first.hypervisor, 'kept');
  const { agent, client } = await dialAgent(socket);
  await startContainer(agent, 'c', 'sleep 600');
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  waiting.catch(() => {});
  t.match(
    await first.program.kill('SIGTERM'),
    { code: 0 },
    'a call that may wait for ever does not hold it up',
  );
  await client.closed;
  const second = await startAdaptor(t, directory);
  const again = await dialAgent(socket);
  await again.agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 15 });
  t.match(await again.agent.WaitProcess({ containerId: 'c', execId: 'c' }), { status: 143 });
  await second.hypervisor.StopVM({ id: 'kept' });
  t.match(await second.program.kill('SIGINT'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});
