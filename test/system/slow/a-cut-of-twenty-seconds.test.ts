// SPDX-License-Identifier: Apache-2.0
// The redial budget as it is shipped, without anything shortened: 20 seconds.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider } from '../../kit/cabled-provider.js';
import { temporary } from '../../kit/directory.js';
import { dialAgent, startPod } from '../../kit/shim.js';
import { onlySlow } from '../../kit/slow.js';

t.test('a cut of 15 s is bridged, one of more than 20 s ends the connection', onlySlow, async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1', { forwarderFlags: ['-link-grace=0s'] });
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const { client, health } = await dialAgent(await startPod(rig.hypervisor, 'slow'));
  await health.Check({});
  await cable.cut();
  const held = health.Check({});
  await sleep(15_000);
  await cable.mend();
  t.match(await held, { status: 1 });
  await cable.cut();
  const began = Date.now();
  await t.rejects(health.Check({}), { code: 'ERR_TTRPC_CLOSED' });
  await client.closed;
  const seconds = (Date.now() - began) / 1000;
  t.ok(seconds > 15 && seconds < 23, `closed after ${seconds.toFixed(1)} s`);
});
