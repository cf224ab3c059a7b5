// SPDX-License-Identifier: Apache-2.0
// Instances without a sandbox: reported in every place, deleted when asked for by id, and nothing else ever is.
import { operatorService } from '@peerpod-tls/agent-protocol';
import { clientOf } from '@peerpod-tls/ttrpc';
import t from 'tap';
import { annotations, eventually, PORT, startRig, status, type Rig } from '../kit/adaptor.js';
import { TestProvider } from '../kit/provider.js';

const { signal } = new AbortController();

/** A platform with one VM that an adaptor which lost its table had made. */
async function withOrphan(): Promise<{ provider: TestProvider; id: string }> {
  const provider = new TestProvider(PORT);
  provider.boot = false;
  const spec = {
    sandbox: 'lost',
    name: 'podvm-lost',
    podName: 'lost',
    podNamespace: 'default',
    userData: '',
    instanceType: '',
    image: '',
    vcpus: 0,
    memoryMiB: 0,
    gpus: 0,
  };
  const { id } = await provider.createInstance(spec, { token: 'lost.1', signal });
  provider.boot = true;
  return { provider, id };
}

const report = async (rig: Rig): Promise<unknown> =>
  (await fetch(`http://${rig.adaptor.statusAddress}/orphans`)).json();
const gauge = async (rig: Rig): Promise<string> =>
  /^peerpod_orphan_instances .*$/m.exec(
    await (await fetch(`http://${rig.adaptor.statusAddress}/metrics`)).text(),
  )?.[0] ?? '';

t.test(
  'an orphan is in the log, the metric, GET /orphans and ListOrphans; a sandbox’s VM is in none',
  async t => {
    const { provider, id } = await withOrphan();
    const rig = await startRig(t, { provider });
    const operator = clientOf(operatorService, rig.client);
    t.match(await rig.log.next('instance belongs to no sandbox'), {
      instance: id,
      instanceName: 'podvm-lost',
    });
    const { addresses } = provider.vms.get(id)?.instance ?? { addresses: [] };
    const orphan = { id, name: 'podvm-lost', addresses, token: 'lost.1' };
    t.match(await report(rig), { provider: 'test', checkedAt: /^20/, error: '', orphans: [orphan] });
    t.equal(await gauge(rig), 'peerpod_orphan_instances 1');
    await rig.hypervisor.CreateVM({ id: 'mine', annotations: annotations(), networkNamespacePath: '' });
    await rig.hypervisor.StartVM({ id: 'mine' });
    t.match(await operator.ListOrphans({}), { provider: 'test', orphans: [orphan] });
    t.equal((await operator.ListOrphans({})).orphans.length, 1);
  },
);

t.test('it is deleted when asked for by its id, once, and every place knows at once', async t => {
  const { provider, id } = await withOrphan();
  const rig = await startRig(t, { provider });
  const operator = clientOf(operatorService, rig.client);
  await Promise.all([operator.DeleteOrphan({ id }), operator.DeleteOrphan({ id })]);
  t.same(provider.deleted, [id]);
  t.match(await rig.log.next('orphan deleted'), { instance: id });
  t.match(await report(rig), { orphans: [] });
  t.match(await gauge(rig), / 0$/);
  await t.rejects(operator.DeleteOrphan({ id }), status(5, /no instance .* without a sandbox/));
  await t.rejects(operator.DeleteOrphan({ id: '' }), status(5));
  await t.rejects(operator.DeleteOrphan({ id: '../../x' }), status(5));
  t.same(provider.deleted, [id]);
});

t.test('the instance of a sandbox is refused, running, failed or being made', async t => {
  const provider = new TestProvider(PORT);
  const rig = await startRig(t, { provider, timing: { deletionRetryMs: 60_000 } });
  const operator = clientOf(operatorService, rig.client);
  await rig.hypervisor.CreateVM({ id: 'one', annotations: annotations(), networkNamespacePath: '' });
  await rig.hypervisor.StartVM({ id: 'one' });
  const [running = ''] = provider.vms.keys();
  await t.rejects(
    operator.DeleteOrphan({ id: running }),
    status(9, /belongs to a sandbox; stop the sandbox/),
  );

  // Its creation fails with the instance made, and so does the first deletion.
  provider.failAfterCreate = 1;
  provider.failDelete = 1;
  await rig.hypervisor.CreateVM({ id: 'two', annotations: annotations('two'), networkNamespacePath: '' });
  await t.rejects(rig.hypervisor.StartVM({ id: 'two' }));
  t.ok(await eventually(() => provider.failDelete === 0));
  const failed = [...provider.vms.keys()].find(id => id !== running) ?? '';
  await t.rejects(operator.DeleteOrphan({ id: failed }), status(9));

  // The platform has it already, the adaptor has not been told its id yet: it goes by the token.
  let release = (): void => undefined;
  const held = new Promise<void>(resolve => (release = resolve));
  provider.vmOptions = {};
  const create = provider.createInstance.bind(provider);
  provider.createInstance = async (spec, options) => {
    const made = await create(spec, options);
    await held;
    return made;
  };
  await rig.hypervisor.CreateVM({ id: 'three', annotations: annotations('three'), networkNamespacePath: '' });
  const start = rig.hypervisor.StartVM({ id: 'three' });
  t.ok(await eventually(() => provider.vms.size === 3));
  const making = [...provider.vms.keys()].find(id => id !== running && id !== failed) ?? '';
  await t.rejects(operator.DeleteOrphan({ id: making }), status(5));
  t.same((await operator.ListOrphans({})).orphans, []);
  release();
  await start;
  t.equal(provider.vms.size, 3);
  t.same(provider.deleted, []);
});

t.test('a sandbox that is stopped while the platform is asked does not turn into an orphan', async t => {
  const provider = new TestProvider(PORT);
  const rig = await startRig(t, { provider });
  const operator = clientOf(operatorService, rig.client);
  await rig.hypervisor.CreateVM({ id: 'brief', annotations: annotations(), networkNamespacePath: '' });
  await rig.hypervisor.StartVM({ id: 'brief' });
  const list = provider.listInstances.bind(provider);
  provider.listInstances = async () => {
    const seen = await list();
    await rig.hypervisor.StopVM({ id: 'brief' });
    return seen;
  };
  t.same((await operator.ListOrphans({})).orphans, []);
});

t.test('a platform that does not answer is said, and what was known stays', async t => {
  const { provider, id } = await withOrphan();
  const rig = await startRig(t, { provider });
  const operator = clientOf(operatorService, rig.client);
  await rig.log.next('instance belongs to no sandbox');
  const list = provider.listInstances.bind(provider);
  provider.listInstances = () => Promise.reject(new Error('the cloud is away'));
  await t.rejects(operator.ListOrphans({}), status(2, /the cloud is away/));
  t.match(await report(rig), { error: 'the cloud is away', orphans: [{ id }] });
  await t.rejects(operator.DeleteOrphan({ id }), status(2, /the cloud is away/));
  provider.listInstances = list;
  provider.failDelete = 1;
  await t.rejects(operator.DeleteOrphan({ id }), status(14, /was not deleted: the cloud is away/));
  t.match(await report(rig), { error: '', orphans: [{ id }] });
  await operator.DeleteOrphan({ id });
  t.equal(provider.vms.size, 0);
});
