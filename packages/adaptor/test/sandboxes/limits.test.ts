// SPDX-License-Identifier: Apache-2.0
// How many sandboxes there may be: refusals in words, and an end for those that nobody starts.
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { annotations, eventually, startRig, status, temporary, type Rig } from '../kit/adaptor.js';

const create = (rig: Rig, id: string): Promise<unknown> =>
  rig.hypervisor.CreateVM({ id, annotations: annotations(), networkNamespacePath: '' });
const records = (rig: Rig): string[] => readdirSync(path.join(rig.directory, 'pods', '.state', 'sandboxes'));

t.test(
  'beyond -created-limit another CreateVM is refused, until one of them is started or stopped',
  async t => {
    const rig = await startRig(t, { flags: ['-created-limit=3'] });
    const results = await Promise.allSettled(['a', 'b', 'c', 'd', 'e'].map(id => create(rig, id)));
    t.equal(results.filter(({ status: was }) => was === 'fulfilled').length, 3);
    t.equal(records(rig).length, 3);
    await t.rejects(
      create(rig, 'f'),
      status(8, /3 sandboxes were created and not started.*-created-limit allows 3/),
    );
    await rig.hypervisor.StartVM({ id: 'a' });
    await create(rig, 'f');
    await rig.hypervisor.StopVM({ id: 'b' });
    await create(rig, 'g');
  },
);

t.test(
  'a sandbox that nobody starts is forgotten after -created-timeout, and who asks is told so',
  async t => {
    const rig = await startRig(t, { flags: ['-created-timeout=1s'] });
    await create(rig, 'runs');
    await rig.hypervisor.StartVM({ id: 'runs' });
    await create(rig, 'idle');
    rig.provider.failCreate = 1;
    await create(rig, 'fails');
    await t.rejects(rig.hypervisor.StartVM({ id: 'fails' }), status(2));
    t.ok(await eventually(() => records(rig).length === 1));
    t.strictSame(records(rig), ['runs.json']);
    t.match(await rig.log.next('sandbox forgotten'), {
      sandbox: 'idle',
      pod: 'default/nginx',
      state: 'created',
    });
    await t.rejects(
      rig.hypervisor.StartVM({ id: 'idle' }),
      status(5, /was created for longer than -created-timeout/),
    );
    await t.resolves(rig.hypervisor.StopVM({ id: 'idle' }), 'its shim may still stop it');
    await create(rig, 'idle');
  },
);

t.test('-peerpods-limit-per-node is how many VMs there are at most, whoever starts them at once', async t => {
  const rig = await startRig(t, { flags: ['-peerpods-limit-per-node=2'] });
  const ids = ['a', 'b', 'c', 'd'];
  for (const id of ids) await create(rig, id);
  const starts = await Promise.allSettled(ids.map(id => rig.hypervisor.StartVM({ id })));
  t.equal(starts.filter(({ status: was }) => was === 'fulfilled').length, 2);
  t.equal(rig.provider.vms.size, 2);
  await t.rejects(
    rig.hypervisor.StartVM({ id: 'd' }),
    status(8, /this node has 2 pod VMs, -peerpods-limit-per-node allows 2/),
  );
  await rig.hypervisor.StopVM({ id: 'a' });
  await rig.hypervisor.StartVM({ id: 'd' });
  const free = await startRig(t, { flags: ['-peerpods-limit-per-node=-1'] });
  for (const id of ids) {
    await create(free, id);
    await free.hypervisor.StartVM({ id });
  }
  t.equal(free.provider.vms.size, 4, 'a negative number is no limit');
});

t.test('a link at the place of a sandbox’s directory is refused before and after its VM is made', async t => {
  const rig = await startRig(t);
  const { podsDir } = rig.options;
  const elsewhere = temporary(t);
  symlinkSync(elsewhere, path.join(podsDir, 'linked'));
  await t.rejects(create(rig, 'linked'), status(9, /pods\/linked is a link, and not followed/));
  t.notOk(records(rig).includes('linked.json'));
  await create(rig, 'later');
  symlinkSync(elsewhere, path.join(podsDir, 'later'));
  await t.rejects(rig.hypervisor.StartVM({ id: 'later' }), status(9, /is a link/));
  t.match(await rig.log.next('sandbox not started'), { err: { code: 'ERR_ADAPTOR_SANDBOX_DIR' } });
  t.equal(rig.provider.vms.size, 0, 'the VM is taken back');
  t.strictSame(readdirSync(elsewhere), []);
  await rig.hypervisor.StopVM({ id: 'later' });
  t.ok(existsSync(elsewhere), 'what the link leads to stays');
  t.notOk(existsSync(path.join(podsDir, 'later')));
  mkdirSync(path.join(podsDir, 'mine'), { mode: 0o700 });
  await create(rig, 'mine');
});
