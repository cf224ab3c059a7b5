// SPDX-License-Identifier: Apache-2.0
// The exec provider with the shipped qemu script: a real kernel boots, reads the user-data, and a command runs in it.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { annotations, dialHypervisor } from '../../../../test/kit/shim.js';
import { freePort } from '../../../../test/kit/free-port.js';
import { ownProcesses } from '../../../../test/kit/directory.js';
import { Program } from '../../../adaptor/test/kit/program.js';
import { openSandbox, runIn } from '../kit/qemu-world.js';
import { sharedImage } from '../kit/vm-image.js';
import { vmTest } from '../kit/vm-test.js';

const missing =
  spawnSync('genisoimage', ['--version']).status !== 0 && 'needs genisoimage (Debian: genisoimage)';

vmTest('a pod VM that a script makes with qemu', { machines: 1, missing }, async (t, directory) => {
  const image = sharedImage();
  const machines = path.join(directory, 'm');
  const examples = fileURLToPath(new URL('../../examples/exec', import.meta.url));
  const program = new Program(
    [
      'exec',
      `-create-command=${examples}/create-qemu.sh`,
      `-delete-command=${examples}/delete.sh`,
      `-list-command=${examples}/list.sh`,
      `-socket=${path.join(directory, 'h.sock')}`,
      `-pods-dir=${path.join(directory, 'pods')}`,
      `-data-dir=${path.join(directory, 'table')}`,
      `-forwarder-port=${await freePort()}`,
      '-status-address=127.0.0.1:0',
      '-proxy-timeout=3m',
    ],
    { PEERPOD_EXAMPLE_DIR: machines, PEERPOD_IMAGE: image },
  );
  ownProcesses(t, directory);
  t.teardown(() => program.child.kill('SIGKILL'));
  await program.next('adaptor started');
  const { client, hypervisor } = await dialHypervisor(path.join(directory, 'h.sock'));
  t.teardown(() => client.close());
  const { agentSocketPath } = await hypervisor.CreateVM({
    id: 'scripted',
    annotations: annotations('web'),
    networkNamespacePath: '',
  });
  t.teardown(() => hypervisor.StopVM({ id: 'scripted' }).catch(() => undefined));
  await hypervisor.StartVM({ id: 'scripted' });
  t.match(await program.next('link verified'), { protocol: 'TLSv1.3', names: ['podvm-web-scripted'] });
  const machine = readdirSync(machines).find(name => name !== 'addresses') ?? '';
  t.notOk(
    existsSync(path.join(machines, machine, 'seed.iso')),
    'the user-data has no name on this disk any more',
  );
  const { agent } = await openSandbox(agentSocketPath);
  t.same(await runIn(agent, 'c1', 'cat /proc/sys/kernel/ostype; exit 7'), { code: 7, stdout: 'Linux\n' });
  await hypervisor.StopVM({ id: 'scripted' });
  t.same(
    readdirSync(machines).filter(name => name !== 'addresses'),
    [],
  );
});
