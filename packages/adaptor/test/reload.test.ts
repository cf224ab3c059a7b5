// SPDX-License-Identifier: Apache-2.0
// A running adaptor whose certificates are replaced.
import t from 'tap';
import { Authority } from '@peerpod-tls/certs';
import { flagsOf, imageOf, manualSet, withOddDate, writeManual } from '../../trust/test/kit/certificates.js';
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

t.test(
  'a client certificate with a date nobody can read, copied over the one in force, changes nothing and is told',
  async t => {
    const directory = temporary(t);
    const set = await manualSet(directory);
    const provider = new TestProvider(PORT);
    provider.vmOptions = { image: set.image };
    const rig = await startRig(t, { provider, flags: flagsOf(set.files) });
    const ask = async (path: string): Promise<{ status: number; text: string }> => {
      const answer = await fetch(`http://${rig.adaptor.statusAddress}${path}`);
      return { status: answer.status, text: await answer.text() };
    };
    t.match(await ask('/readyz'), { status: 200 });

    writeManual(directory, set.ca, withOddDate(set.cert), set.key);
    const line = await rig.log.next('certificates not reloaded, the old ones stay in force');
    t.match(line, { reason: /client\.crt.*-cert-file|-cert-file.*client\.crt/, currentDays: 729 });
    t.notMatch(line['reason'], /Invalid time value/);
    t.match(await ask('/readyz'), { status: 503, text: /certificates in force stay.*-cert-file/ });
    t.match((await ask('/metrics')).text, /^peerpod_certificate_last_reload_successful 0$/m);
    await rig.hypervisor.CreateVM({ id: 'still', annotations: annotations(), networkNamespacePath: '' });
    await rig.hypervisor.StartVM({ id: 'still' });

    writeManual(directory, set.ca, set.cert, set.key);
    await rig.adaptor.reload();
    t.match(await ask('/readyz'), { status: 200 });
    t.match((await ask('/metrics')).text, /^peerpod_certificate_last_reload_successful 1$/m);
  },
);
