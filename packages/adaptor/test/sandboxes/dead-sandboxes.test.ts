// SPDX-License-Identifier: Apache-2.0
// What becomes of sandboxes whose shim is gone, where their stopping is switched on.
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { operatorService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import t from 'tap';
import { annotations, dialAgent, eventually, startRig, temporary, type Rig } from '../kit/adaptor.js';
import { metricOf, rowOf, runPod } from '../kit/dead-sandboxes.js';

const STOPPED = 'shim of a running sandbox is gone, its VM is stopped';

const reaping = (
  t: Parameters<typeof startRig>[0],
  kata: string,
  flags: readonly string[] = [],
): Promise<Rig> =>
  startRig(t, {
    flags: ['-reap-dead-sandboxes', '-dead-sandbox-grace=1s', ...flags],
    shims: { kataDirs: [kata], lookMs: 50 },
  });

t.test('a dead sandbox is stopped, and those that somebody uses are not', async t => {
  const kata = temporary(t);
  const rig = await reaping(t, kata);
  await runPod(rig, 'dead');
  const shim = await dialAgent(await runPod(rig, 'connected'));
  t.teardown(() => shim.client.close());
  await shim.health.Check({});
  mkdirSync(path.join(kata, 'answering'));
  const monitor = createServer().listen(path.join(kata, 'answering', 'shim-monitor.sock'));
  t.teardown(() => monitor.close());
  await runPod(rig, 'answering');
  const holder = await connectUnix(rig.options.socket);
  t.teardown(() => holder.close());
  clientOf(operatorService, holder)
    .Hold({ id: 'held' })
    .catch(() => {});
  await delay(50);
  await runPod(rig, 'held');
  await rig.hypervisor.CreateVM({ id: 'created', annotations: annotations(), networkNamespacePath: '' });

  const line = await rig.log.next(STOPPED);
  t.match(line, {
    level: 'warn',
    sandbox: 'dead',
    pod: 'default/nginx',
    reason:
      /^no shim has been connected since the socket was opened at 2\S+Z, and there is no \S+\/dead\/shim-monitor\.sock$/,
  });
  t.ok(await eventually(() => rig.provider.deleted.length === 1));
  t.match(await rig.log.next('sandbox stopped'), { sandbox: 'dead' });
  t.strictSame(await rowOf(rig, 'dead'), {});
  t.equal(await metricOf(rig, 'peerpod_dead_sandboxes_stopped_total{result="ok"}'), '1');
  await delay(1500);
  for (const id of ['connected', 'answering', 'held'])
    t.match(await rowOf(rig, id), { state: 'running', error: '' }, id);
  t.match(await rowOf(rig, 'created'), { state: 'created' });
  t.equal(rig.log.lines().filter(({ msg }) => msg === STOPPED).length, 1);
  await rig.hypervisor.StopVM({ id: 'dead' });
  t.pass('a StopVM that comes after all is answered');
});

t.test('a dead sandbox whose VM cannot be deleted is told of and tried again', async t => {
  const rig = await reaping(t, temporary(t));
  rig.provider.failDelete = 1;
  await runPod(rig, 'dead');
  const line = await rig.log.next('dead sandbox not stopped');
  t.match(line, { level: 'error', sandbox: 'dead', reason: /the cloud is away/ });
  t.ok(await eventually(() => rig.provider.deleted.length === 1));
  t.equal(await metricOf(rig, 'peerpod_dead_sandboxes_stopped_total{result="failed"}'), '1');
  t.equal(rig.log.lines().filter(({ msg }) => msg === STOPPED).length, 1);
});

t.test('after a restart a shim has the whole grace time again', async t => {
  const kata = temporary(t);
  const first = await startRig(t);
  await runPod(first, 'pod');
  await first.close();
  const second = await startRig(t, {
    directory: first.directory,
    provider: first.provider,
    flags: ['-reap-dead-sandboxes', '-dead-sandbox-grace=2s'],
    shims: { kataDirs: [kata], lookMs: 50 },
  });
  await delay(1000);
  t.match(await rowOf(second, 'pod'), { state: 'running', shim: { state: 'unknown' } });
  await second.log.next(STOPPED);
  t.ok(await eventually(() => first.provider.vms.size === 0));
});
