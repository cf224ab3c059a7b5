// SPDX-License-Identifier: Apache-2.0
// Worse than a killed adaptor: VMs that died too, and a kill in the middle of StopVM. Nothing is left that cannot be
// stopped, and nothing that was stopped is left.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startAdaptor } from '../../kit/adaptor-program.js';
import { processesOf, temporary } from '../../kit/directory.js';
import { leftovers, nothing, vmsIn } from '../../kit/leftovers.js';
import { ProxyLog, proxiesOf } from '../../kit/proxies.js';
import { dialAgent, startContainer, startPod, status } from '../../kit/shim.js';

/** Ends everything of the VMs, as a power cut of their host would. */
function killVms(directory: string, adaptor: number): void {
  const worker = new Set([adaptor, ...proxiesOf(directory)]);
  for (const { pid } of processesOf(directory)) if (!worker.has(pid)) process.kill(pid, 'SIGKILL');
}

t.test('a VM that died under a running adaptor is stopped as any other', async t => {
  const directory = temporary(t);
  const { program, hypervisor } = await startAdaptor(t, directory);
  const path = await startPod(hypervisor, 'dead');
  const { client, agent } = await dialAgent(path);
  await startContainer(agent, 'c', 'sleep 600');
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  waiting.catch(() => {});
  killVms(directory, program.pid);
  await new ProxyLog(directory).said('link cut, to be resumed');
  await hypervisor.StopVM({ id: 'dead' });
  await t.rejects(waiting, { code: /^ERR_TTRPC/ }, 'who waited is told');
  await client.closed;
  t.match(await program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});

t.test('a VM that died while no adaptor ran is known, and stopped as any other', async t => {
  const directory = temporary(t);
  const first = await startAdaptor(t, directory);
  const path = await startPod(first.hypervisor, 'dead');
  await first.program.kill('SIGKILL');
  killVms(directory, 0);
  const second = await startAdaptor(t, directory);
  t.match(await second.info.GetInfo({ PodName: 'nginx', PodNamespace: 'default' }), { VMID: /./ });
  const { health, client } = await dialAgent(path);
  await t.rejects(health.Check({}, { timeoutMs: 300 }), status(4), 'the shim’s own deadline ends its check');
  client.close();
  await second.hypervisor.StopVM({ id: 'dead' });
  t.match(await second.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});

t.test('SIGKILL in the middle of StopVM: the next adaptor finishes it', { timeout: 40_000 }, async t => {
  const directory = temporary(t);
  let adaptor = await startAdaptor(t, directory);
  for (const ms of [0, 10, 40]) {
    const id = `stop${ms}`;
    const { agent, client } = await dialAgent(await startPod(adaptor.hypervisor, id));
    await startContainer(agent, 'c', 'sleep 600');
    client.close();
    adaptor.hypervisor.StopVM({ id }).catch(() => {});
    await sleep(ms);
    await adaptor.program.kill('SIGKILL');
    adaptor = await startAdaptor(t, directory);
    // Whether the request had arrived before the kill, nobody can know; a shim asks again.
    await adaptor.hypervisor
      .StopVM({ id })
      .catch((error: unknown) => t.match(error, status(5), `${ms} ms: it was finished already`));
    t.strictSame(vmsIn(directory), [], `${ms} ms: nothing of the VM is left`);
  }
  t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});
