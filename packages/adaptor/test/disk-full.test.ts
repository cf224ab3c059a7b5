// SPDX-License-Identifier: Apache-2.0
// A state directory without room, for real: a small tmpfs, where this process may mount one.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { annotations, startRig, status, temporary } from './kit/adaptor.js';

function mountSmall(directory: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', directory], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

const probe = temporary(t);
const mountable = mountSmall(probe);
if (mountable) execFileSync('umount', ['-l', probe]);
const skip = mountable ? false : 'this process may not mount a tmpfs';

t.test('with a full disk new sandboxes are refused in words, and the adaptor goes on', { skip }, async t => {
  const directory = temporary(t);
  const state = path.join(directory, 'state');
  mkdirSync(state, { mode: 0o700 });
  t.ok(mountSmall(state));
  t.teardown(() => execFileSync('umount', ['-l', state]));
  const rig = await startRig(t, { directory, flags: [`-state-dir=${state}`] });
  const create = (id: string): Promise<unknown> =>
    rig.hypervisor.CreateVM({ id, annotations: annotations(), networkNamespacePath: '' });
  await create('before');
  await create('stops');
  await rig.hypervisor.StartVM({ id: 'stops' });
  const { bavail, bsize } = statfsSync(state);
  writeFileSync(path.join(state, 'filler'), Buffer.alloc(bavail * bsize));
  await t.rejects(create('during'), status(8, /no room/));
  await t.rejects(rig.hypervisor.StartVM({ id: 'before' }), status(8, /no room/));
  t.equal(rig.provider.vms.size, 1, 'no VM was made that could be forgotten');
  await rig.hypervisor.StopVM({ id: 'stops' });
  t.equal(rig.provider.vms.size, 0, 'a VM is deleted without room, too');
  rmSync(path.join(state, 'filler'));
  await create('during');
  await rig.hypervisor.StartVM({ id: 'before' });
  t.strictSame(
    readdirSync(path.join(state, 'sandboxes')),
    ['before.json', 'during.json'],
    'and nothing half-written is left',
  );
});
