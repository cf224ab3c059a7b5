// SPDX-License-Identifier: Apache-2.0
// The hypervisor service over its real socket, with VMs that are real in everything but the machine.
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { annotations, dialAgent, startRig } from '../kit/adaptor.js';

const ID = 'a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90'.slice(0, 40);

t.test('a shim creates, starts, uses and stops a sandbox, and the log tells the story', async t => {
  const rig = await startRig(t);
  const { agentSocketPath } = await rig.hypervisor.CreateVM({
    id: ID,
    annotations: annotations(),
    networkNamespacePath: '/run/netns/x',
  });
  t.equal(agentSocketPath, path.join(rig.directory, 'pods', ID, 'agent.ttrpc'));
  t.notOk(existsSync(agentSocketPath), 'nothing listens before the agent has answered');
  t.strictSame(rig.provider.specs, [], 'CreateVM makes no VM');

  await rig.hypervisor.StartVM({ id: ID });
  t.equal(lstatSync(agentSocketPath).mode & 0o777, 0o600);
  t.equal(lstatSync(path.dirname(agentSocketPath)).mode & 0o777, 0o700);
  const shim = await dialAgent(agentSocketPath);
  t.match(await shim.health.Check({}), { status: 1 });
  await shim.agent.GetGuestDetails({});
  t.strictSame(rig.provider.only.calls, ['Check', 'Check', 'GetGuestDetails']);

  await rig.hypervisor.StopVM({ id: ID });
  t.equal(rig.provider.vms.size, 0);
  t.notOk(existsSync(path.dirname(agentSocketPath)));
  t.strictSame(readdirSync(path.join(rig.directory, 'pods', '.state', 'sandboxes')), []);
  t.ok(await shim.client.closed.then(() => true), "the shim's connection is closed");

  const story = rig.log
    .lines()
    .filter(line => line.level !== 'debug' && line['name'] !== 'proxy')
    .map(line => line.msg);
  t.strictSame(
    story.filter(msg => !/link/.test(msg) || msg === 'link verified'),
    [
      'identity ready',
      'adaptor started',
      'sandbox created',
      'certificate issued',
      'user-data built',
      'instance created',
      'link verified',
      'agent answered',
      'sandbox started',
      'instance deleted',
      'sandbox stopped',
    ],
  );
  const verified = rig.log.lines().find(line => line.msg === 'link verified');
  t.match(verified, { sandbox: ID, protocol: 'TLSv1.3', names: ['podvm-nginx-a1b2c3d4'] });
});
