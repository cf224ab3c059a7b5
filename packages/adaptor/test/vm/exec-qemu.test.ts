// SPDX-License-Identifier: Apache-2.0
// The exec provider with the shipped qemu script: a real kernel boots, reads the letter, and a command runs in it.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { hypervisorService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import { annotations } from '../kit/adaptor.js';
import { freePort } from '../kit/free-port.js';
import { Program } from '../kit/program.js';
import { buildImage, openSandbox, runIn, VM_TEST_SECONDS, vmsMissing, world } from '../kit/qemu-world.js';

t.setTimeout(VM_TEST_SECONDS * 1000);

const skip =
  vmsMissing() ||
  (spawnSync('genisoimage', ['--version']).status !== 0 && 'needs genisoimage (Debian: genisoimage)');

t.test('a pod VM that a script makes with qemu', { skip }, async t => {
  const directory = world(t);
  const image = buildImage(path.join(directory, 'image'));
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
  t.teardown(() => program.child.kill('SIGKILL'));
  await program.next('adaptor started');
  const client = await connectUnix(path.join(directory, 'h.sock'));
  t.teardown(() => client.close());
  const hypervisor = clientOf(hypervisorService, client);
  const { agentSocketPath } = await hypervisor.CreateVM({
    id: 'scripted',
    annotations: annotations('web'),
    networkNamespacePath: '',
  });
  t.teardown(() => hypervisor.StopVM({ id: 'scripted' }).catch(() => undefined));
  await hypervisor.StartVM({ id: 'scripted' });
  t.match(await program.next('link judged'), { protocol: 'TLSv1.3', names: ['podvm-web-scripted'] });
  const machine = readdirSync(machines).find(name => name !== 'addresses') ?? '';
  t.notOk(
    existsSync(path.join(machines, machine, 'seed.iso')),
    'the letter has no name on this disk any more',
  );
  const { agent } = await openSandbox(agentSocketPath);
  t.same(await runIn(agent, 'c1', 'cat /proc/sys/kernel/ostype; exit 7'), { code: 7, stdout: 'Linux\n' });
  await hypervisor.StopVM({ id: 'scripted' });
  t.same(
    readdirSync(machines).filter(name => name !== 'addresses'),
    [],
  );
});
