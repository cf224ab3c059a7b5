// SPDX-License-Identifier: Apache-2.0
// A running adaptor whose certificates are replaced.
import t from 'tap';
import { Authority } from '@peerpod-tls/certs';
import { flagsOf, imageOf, manualSet, writeManual } from '../../trust/test/kit/certificates.js';
import { annotations, dialAgent, PORT, startRig, temporary } from './kit/adaptor.js';
import { TestProvider } from './kit/provider.js';

t.test('new certificates serve new links and leave open ones alone', async t => {
  const directory = temporary(t);
  const first = await manualSet(directory);
  const provider = new TestProvider(PORT);
  provider.vmOptions = { image: first.image };
  const rig = await startRig(t, { provider, flags: flagsOf(first.files) });
  const { agentSocketPath } = await rig.hypervisor.CreateVM({
    id: 'rotate',
    annotations: annotations(),
    networkNamespacePath: '',
  });
  await rig.hypervisor.StartVM({ id: 'rotate' });
  const open = await dialAgent(agentSocketPath);
  t.match(await open.health.Check({}), { status: 1 });

  const second = await Authority.create({});
  const client = await second.issue('client', {});
  writeManual(directory, first.ca + second.certPem, client.certPem, client.keyPem);
  await rig.adaptor.reload();
  t.match(await open.health.Check({}), { status: 1 }, 'the open link stays');
  provider.vmOptions = { image: await imageOf(second) };
  await rig.hypervisor.CreateVM({
    id: 'rotated',
    annotations: annotations('other'),
    networkNamespacePath: '',
  });
  await rig.hypervisor.StartVM({ id: 'rotated' });
  open.client.close();
  t.match(
    await (await fetch(`http://${rig.adaptor.statusAddress}/metrics`)).text(),
    /peerpod_certificate_reloads_total\{result="ok"\} [12]/,
  );
});
