// SPDX-License-Identifier: Apache-2.0
// What shims ask while no adaptor is there, or of one that dies over it: the next one answers, and no StopVM is lost.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { socketIn, startAdaptor } from '../../kit/adaptor-program.js';
import { temporary } from '../../kit/directory.js';
import { leftovers, nothing, vmsIn } from '../../kit/leftovers.js';
import { annotations, dialAgent, dialHypervisor, startPod, status } from '../../kit/shim.js';

t.setTimeout(180_000);

const request = (id: string) => ({ id, annotations: annotations(id), networkNamespacePath: '' });

t.test('a StopVM that finds no adaptor is answered, and carried out by the next one', async t => {
  const directory = temporary(t);
  const first = await startAdaptor(t, directory);
  const shim = await dialAgent(await startPod(first.hypervisor, 'stopped'));
  await first.program.kill('SIGKILL');
  const { hypervisor } = await dialHypervisor(socketIn(directory));
  t.strictSame({ ...(await hypervisor.StopVM({ id: 'stopped' }, { timeoutMs: 3000 })) }, {});
  shim.client.close();
  t.equal(vmsIn(directory).length, 1, 'nobody was there to delete it');
  const second = await startAdaptor(t, directory);
  await second.program.said('sandbox stopped');
  t.strictSame(vmsIn(directory), []);
  t.match(await second.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});

t.test('CreateVM, StartVM and the infos wait for an adaptor, and say so when their time is over', async t => {
  const directory = temporary(t);
  const first = await startAdaptor(t, directory);
  await first.program.kill('SIGKILL');
  const shim = await dialHypervisor(socketIn(directory));
  await t.rejects(shim.hypervisor.CreateVM(request('late'), { timeoutMs: 300 }), {
    message: /adaptor|not answered within/,
  });
  const created = shim.hypervisor.CreateVM(request('waits'));
  const version = shim.hypervisor.Version({});
  await sleep(200);
  const second = await startAdaptor(t, directory);
  t.match(await created, { agentSocketPath: /waits\/agent\.ttrpc$/ });
  t.match(await version, { version: '0.0.0' });
  await second.program.kill('SIGKILL');
  const started = shim.hypervisor.StartVM({ id: 'waits' });
  await sleep(200);
  const third = await startAdaptor(t, directory);
  await started;
  await shim.hypervisor.StopVM({ id: 'waits' });
  t.match(await third.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});

t.test(
  'a StartVM whose adaptor dies under it is started again by the next one, and succeeds',
  { timeout: 60_000 },
  async t => {
    const directory = temporary(t);
    let adaptor = await startAdaptor(t, directory);
    for (const [index, end] of (['SIGKILL', 'SIGTERM'] as const).entries()) {
      const id = `start${index}`;
      const shim = await dialHypervisor(socketIn(directory));
      const { agentSocketPath } = await shim.hypervisor.CreateVM(request(id));
      const built = adaptor.program.said('user-data built', line => line['sandbox'] === id);
      const starting = shim.hypervisor.StartVM({ id });
      await built;
      await sleep(100);
      await adaptor.program.kill(end);
      adaptor = await startAdaptor(t, directory);
      await t.resolves(starting, `${end}: the shim's one call`);
      t.equal(vmsIn(directory).length, 1, `${end}: and one VM`);
      const agent = await dialAgent(agentSocketPath);
      t.match(await agent.health.Check({}), { status: 1 });
      agent.client.close();
      await shim.hypervisor.StopVM({ id });
      shim.client.close();
    }
    t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
    t.strictSame(await leftovers(directory), nothing);
  },
);

t.test(
  'a CreateVM that is asked for again is answered as before, and another one of its id is refused',
  async t => {
    const directory = temporary(t);
    const { hypervisor, program } = await startAdaptor(t, directory);
    const first = await hypervisor.CreateVM(request('twice'));
    t.strictSame({ ...(await hypervisor.CreateVM(request('twice'))) }, { ...first });
    await t.rejects(
      hypervisor.CreateVM({ ...request('twice'), networkNamespacePath: '/run/netns/n' }),
      status(6),
    );
    await hypervisor.StartVM({ id: 'twice' });
    await t.rejects(hypervisor.CreateVM(request('twice')), status(6), 'nor one that runs');
    await hypervisor.StopVM({ id: 'twice' });
    await program.kill('SIGTERM');
    t.strictSame(await leftovers(directory), nothing);
  },
);
