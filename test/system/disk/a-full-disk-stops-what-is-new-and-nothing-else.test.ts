// SPDX-License-Identifier: Apache-2.0
// The disk under the state, or under the pod VMs, is full: new sandboxes are refused in words and without remains, those
// that run are served and can be stopped, and once there is room everything works again.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { localFlags, startAdaptor } from '../../kit/adaptor-program.js';
import { isRoot, temporary } from '../../kit/directory.js';
import { leftovers, nothing, vmsIn } from '../../kit/leftovers.js';
import { run } from '../../kit/program.js';
import { annotations, dialAgent, startPod, status } from '../../kit/shim.js';

const canMount = (): boolean => {
  if (!isRoot) return false;
  const probe = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', '/mnt']);
  return probe.status === 0;
};
const skip = canMount() ? false : 'needs root, to mount a small file system';

/** A file system of 512 KiB at `directory`, and the way to fill it up. */
function smallDisk(t: Test, directory: string): { fill(): void; free(): void } {
  mkdirSync(directory, { mode: 0o700 });
  const { status: code, stderr } = spawnSync('mount', [
    '-t',
    'tmpfs',
    '-o',
    'size=512k,mode=700',
    'none',
    directory,
  ]);
  if (code !== 0) throw new Error(String(stderr));
  t.teardown(() => spawnSync('umount', ['-l', directory]));
  const filler = join(directory, 'filler');
  return {
    fill: () => {
      for (const size of [65_536, 4_096, 1]) {
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: 'a' });
        } catch {
          // Full to this grain.
        }
      }
    },
    free: () => rmSync(filler),
  };
}

const request = (id: string) => ({ id, annotations: annotations(id), networkNamespacePath: '' });

t.test('the disk under the state', { skip, timeout: 60_000 }, async t => {
  const directory = temporary(t);
  const disk = smallDisk(t, join(directory, 'pods'));
  disk.fill();
  const refused = await run(t, 'cloud-api-adaptor', localFlags(directory));
  t.equal(refused.code, 1, 'without room for its identity an adaptor does not start');
  t.match(refused.stderr, /^cloud-api-adaptor: .*(no free space|no space|ENOSPC)/im);
  t.notMatch(refused.stderr, /\n\s+at /);
  disk.free();

  const adaptor = await startAdaptor(t, directory);
  const { hypervisor } = adaptor;
  const path = await startPod(hypervisor, 'running');
  await hypervisor.CreateVM(request('created'));
  disk.fill();
  await t.rejects(
    hypervisor.CreateVM(request('refused')),
    status(8, /there is no free space to write .*refused/),
  );
  t.notMatch(await adaptor.get('/sandboxes'), /refused/, 'and is not there');
  await t.rejects(
    hypervisor.StartVM({ id: 'created' }),
    status(8, /there is no free space to write .*created/),
  );
  t.equal(vmsIn(directory).length, 1, 'no VM was made');
  const { client, health } = await dialAgent(path);
  t.match(await health.Check({}), { status: 1 }, 'the pod that runs is served');
  client.close();
  await t.resolves(hypervisor.StopVM({ id: 'running' }), 'and can be stopped');
  t.strictSame(vmsIn(directory), [], 'its VM is deleted');
  disk.free();
  await t.resolves(startPod(hypervisor, 'refused'), 'with room again, the same id works');
  await t.resolves(hypervisor.StartVM({ id: 'created' }), 'and so does the start');
  for (const id of ['refused', 'created']) await hypervisor.StopVM({ id });
  t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});

t.test('the disk under the pod VMs', { skip, timeout: 60_000 }, async t => {
  const directory = temporary(t);
  const disk = smallDisk(t, join(directory, 'vms'));
  const adaptor = await startAdaptor(t, directory);
  disk.fill();
  await adaptor.hypervisor.CreateVM(request('full'));
  await t.rejects(
    adaptor.hypervisor.StartVM({ id: 'full' }),
    status(8, /^there is no free space in \S+ \(\d.* of 512 KiB free, -data-dir\): .*ENOSPC/),
  );
  t.notMatch(adaptor.program.stderr, /PRIVATE KEY/);
  disk.free();
  await t.resolves(adaptor.hypervisor.StartVM({ id: 'full' }), 'with room again it starts');
  await adaptor.hypervisor.StopVM({ id: 'full' });
  t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});
