// SPDX-License-Identifier: Apache-2.0
// A running sandbox whose shim is gone: told of on a node that has kata, and on no other.
import { mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { dialAgent, eventually, startRig, temporary } from '../kit/adaptor.js';
import { metricOf, rowOf, runPod } from '../kit/dead-sandboxes.js';

t.test(
  'connections are counted, and a shim that is neither connected nor answers is gone after a while',
  async t => {
    const kata = path.join(temporary(t), 'sbs');
    const rig = await startRig(t, {
      flags: ['-dead-sandbox-grace=1s'],
      shims: { kataDirs: [kata], lookMs: 50 },
    });
    const socket = await runPod(rig, 'pod');
    t.match(await rowOf(rig, 'pod'), { shim: { connections: 0, lastClosedAt: null, state: 'unknown' } });
    const shim = await dialAgent(socket);
    await shim.health.Check({});
    t.match(await rowOf(rig, 'pod'), { shim: { connections: 1, state: 'connected' }, error: '' });
    shim.client.close();
    t.ok(await eventually(() => rig.log.lines().some(({ msg }) => msg === 'shim disconnected')));
    await delay(1500);
    t.match(
      await rowOf(rig, 'pod'),
      { shim: { connections: 0, lastClosedAt: /^2/, state: 'unknown' }, error: '' },
      'without kata on the node nobody can tell',
    );

    mkdirSync(path.join(kata, 'pod'), { recursive: true });
    const bound = path.join(kata, 'pod', 'bound.sock');
    const monitor = createServer().listen(bound);
    // Under another name it outlives its server, as that of a killed process does.
    renameSync(bound, path.join(kata, 'pod', 'shim-monitor.sock'));
    await delay(1500);
    t.match(await rowOf(rig, 'pod'), { shim: { state: 'unknown' } }, 'it answers, and may connect again');
    t.equal(await metricOf(rig, 'peerpod_sandboxes_without_shim'), '0');

    await new Promise(resolve => monitor.close(resolve));
    await delay(500);
    t.match(await rowOf(rig, 'pod'), { shim: { state: 'unknown' } }, 'silence has to last');
    const line = await rig.log.next('shim of a running sandbox is gone, its VM lives on until it is stopped');
    t.match(line, {
      level: 'warn',
      sandbox: 'pod',
      pod: 'default/nginx',
      reason:
        /^no shim has been connected since 2\S+Z, and nobody answers on \S+\/sbs\/pod\/shim-monitor\.sock$/,
      hint: /-reap-dead-sandboxes/,
    });
    t.match(await rowOf(rig, 'pod'), {
      state: 'running',
      shim: { state: 'gone' },
      error: `its shim is gone: ${String(line['reason'])}`,
    });
    t.equal(await metricOf(rig, 'peerpod_sandboxes_without_shim'), '1');
    await delay(500);
    t.equal(rig.provider.vms.size, 1, 'and nothing is done about it');
    const told = rig.log.lines().filter(({ msg }) => msg.startsWith('shim of a running sandbox is gone'));
    t.equal(told.length, 1, 'nor is it told again');

    const again = await dialAgent(socket);
    await again.health.Check({});
    t.match(await rowOf(rig, 'pod'), { shim: { state: 'connected' }, error: '' });
    for (
      let tries = 0;
      tries < 100 && (await metricOf(rig, 'peerpod_sandboxes_without_shim')) !== '0';
      tries += 1
    )
      await delay(50);
    t.equal(await metricOf(rig, 'peerpod_sandboxes_without_shim'), '0', 'one that is back is not missed');
    again.client.close();
    await rig.hypervisor.StopVM({ id: 'pod' });
    t.equal(await metricOf(rig, 'peerpod_sandboxes_without_shim'), '0');
  },
);

t.test('a shim that connected or left only now is not missed yet', async t => {
  const kata = temporary(t);
  const rig = await startRig(t, { shims: { kataDirs: [kata], lookMs: 20 } });
  await runPod(rig, 'pod');
  await delay(200);
  t.match(await rowOf(rig, 'pod'), { shim: { state: 'unknown' } });
  t.equal(await metricOf(rig, 'peerpod_sandboxes_without_shim'), '0');
});
