// SPDX-License-Identifier: Apache-2.0
// A state directory without free space, for real: a small tmpfs, where this process may mount one.
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { annotations, startRig, status, temporary } from './kit/adaptor.js';
import { noSmallDisk, smallDisk } from '../../providers/test/kit/small-disk.js';

const skip = noSmallDisk();

t.test('with a full disk new sandboxes are refused in words, and the adaptor goes on', { skip }, async t => {
  const directory = temporary(t);
  const state = path.join(directory, 'state');
  mkdirSync(state, { mode: 0o700 });
  const disk = smallDisk(t, state, 'size=256k');
  const rig = await startRig(t, { directory, flags: [`-state-dir=${state}`] });
  const create = (id: string): Promise<unknown> =>
    rig.hypervisor.CreateVM({ id, annotations: annotations(), networkNamespacePath: '' });
  await create('before');
  await create('stops');
  await rig.hypervisor.StartVM({ id: 'stops' });
  disk.fill();
  await t.rejects(create('during'), status(8, /no free space/));
  await t.rejects(rig.hypervisor.StartVM({ id: 'before' }), status(8, /no free space/));
  t.equal(rig.provider.vms.size, 1, 'no VM was made that could be forgotten');
  await rig.hypervisor.StopVM({ id: 'stops' });
  t.equal(rig.provider.vms.size, 0, 'a VM is deleted without free space, too');
  disk.free();
  await create('during');
  await rig.hypervisor.StartVM({ id: 'before' });
  t.strictSame(
    readdirSync(path.join(state, 'sandboxes')),
    ['before.json', 'during.json'],
    'and nothing half-written is left',
  );
});
