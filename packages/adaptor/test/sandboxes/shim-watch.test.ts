// SPDX-License-Identifier: Apache-2.0
// A running sandbox whose shim is gone: told of on a node that has kata, and on no other.
import { mkdirSync, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { annotations, dialAgent, eventually, startRig, temporary, type Rig } from '../kit/adaptor.js';

async function run(rig: Rig, id: string): Promise<string> {
  const { agentSocketPath } = await rig.hypervisor.CreateVM({
    id,
    annotations: annotations(),
    networkNamespacePath: '',
  });
  await rig.hypervisor.StartVM({ id });
  return agentSocketPath;
}

async function rowOf(rig: Rig, id: string): Promise<Record<string, unknown>> {
  const answer: unknown = await (await fetch(`http://${rig.adaptor.statusAddress}/sandboxes`)).json();
  const { sandboxes } = Object(answer);
  return Object(sandboxes.find((row: { id: string }) => row.id === id));
}

const metricOf = async (rig: Rig): Promise<string> =>
  /^peerpod_sandboxes_without_shim (\d+)$/m.exec(
    await (await fetch(`http://${rig.adaptor.statusAddress}/metrics`)).text(),
  )?.[1] ?? '';

t.test(
  'connections are counted, and a shim that is neither connected nor answers is gone after a while',
  async t => {
    const kata = path.join(temporary(t), 'sbs');
    const rig = await startRig(t, { shims: { kataDirs: [kata], graceMs: 300, lookMs: 50 } });
    const socket = await run(rig, 'pod');
    t.match(await rowOf(rig, 'pod'), { shim: { connections: 0, lastClosedAt: null, state: 'unknown' } });
    const shim = await dialAgent(socket);
    await shim.health.Check({});
    t.match(await rowOf(rig, 'pod'), { shim: { connections: 1, state: 'connected' }, error: '' });
    shim.client.close();
    t.ok(await eventually(() => rig.log.lines().some(({ msg }) => msg === 'shim disconnected')));
    await delay(600);
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
    await delay(600);
    t.match(await rowOf(rig, 'pod'), { shim: { state: 'unknown' } }, 'it answers, and may connect again');
    t.equal(await metricOf(rig), '0');

    await new Promise(resolve => monitor.close(resolve));
    const line = await rig.log.next('shim of a running sandbox is gone, its VM lives on until it is stopped');
    t.match(line, { level: 'warn', sandbox: 'pod', pod: 'default/nginx' });
    t.match(await rowOf(rig, 'pod'), {
      state: 'running',
      shim: { state: 'gone' },
      error: /its shim is gone/,
    });
    t.equal(await metricOf(rig), '1');
    t.equal(rig.provider.vms.size, 1, 'and nothing is done about it');

    const again = await dialAgent(socket);
    await again.health.Check({});
    t.match(await rowOf(rig, 'pod'), { shim: { state: 'connected' }, error: '' });
    for (let tries = 0; tries < 100 && (await metricOf(rig)) !== '0'; tries += 1) await delay(50);
    t.equal(await metricOf(rig), '0', 'one that is back is not missed');
    again.client.close();
    await rig.hypervisor.StopVM({ id: 'pod' });
    t.equal(await metricOf(rig), '0');
  },
);

t.test('a shim that connected or left only now is not missed yet', async t => {
  const kata = temporary(t);
  const rig = await startRig(t, { shims: { kataDirs: [kata], graceMs: 60_000, lookMs: 20 } });
  await run(rig, 'pod');
  await delay(200);
  t.match(await rowOf(rig, 'pod'), { shim: { state: 'unknown' } });
  t.equal(await metricOf(rig), '0');
});
