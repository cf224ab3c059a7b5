// SPDX-License-Identifier: Apache-2.0
// Generations of the proxy: another one for other settings while the old one serves what it has, one that is killed, and
// one that somebody else runs.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { TtrpcClient } from '@peerpod-tls/ttrpc';
import { socketIn, startAdaptor } from '../../kit/adaptor-program.js';
import { processesOf, procFile, temporary } from '../../kit/directory.js';
import { leftovers, nothing, vmsIn } from '../../kit/leftovers.js';
import { Program } from '../../kit/program.js';
import { generationsBelow, proxiesOf, untilNoProxy } from '../../kit/proxies.js';
import { dialAgent, dialHypervisor, startContainer, startPod } from '../../kit/shim.js';

t.setTimeout(180_000);

async function until(what: () => boolean, ms = 5000): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(10)) if (what()) return true;
  return what();
}

/** Whether a call is answered: a connection alone may be one that a dying process has not yet let go of. */
async function answers(
  dial: () => Promise<{ client: TtrpcClient; call(): Promise<unknown> }>,
): Promise<boolean> {
  try {
    const { client, call } = await dial();
    try {
      await call();
      return true;
    } finally {
      client.close();
    }
  } catch {
    return false;
  }
}

const shimsSocket = (socket: string) => async () => {
  const { client, hypervisor } = await dialHypervisor(socket);
  return { client, call: () => hypervisor.Version({}) };
};

const agentsSocket = (socket: string) => async () => {
  const { client, health } = await dialAgent(socket);
  return { client, call: () => health.Check({}) };
};

t.test(
  'other settings are another generation: new pods go there, old ones stay where they are until their last has gone',
  { timeout: 60_000 },
  async t => {
    const directory = temporary(t);
    const first = await startAdaptor(t, directory, ['-data-path-threads=1']);
    const [old = 0] = proxiesOf(directory);
    const before = await dialAgent(await startPod(first.hypervisor, 'old', 'old'));
    await startContainer(before.agent, 'c', 'sleep 600');
    const waiting = before.agent.WaitProcess({ containerId: 'c', execId: 'c' });
    waiting.catch(() => {});
    await first.program.kill('SIGKILL');

    const second = await startAdaptor(t, directory, ['-data-path-threads=2']);
    t.match(await second.program.said('proxy of another generation retired'), { sandboxes: 1 });
    t.equal(proxiesOf(directory).length, 2);
    const after = await dialAgent(await startPod(second.hypervisor, 'new', 'new'));
    t.match(await after.health.Check({}), { status: 1 });
    t.match(await before.health.Check({}), { status: 1 }, 'on the connection it always had');
    const { sandboxes } = JSON.parse(await second.get('/sandboxes'));
    t.match(sandboxes, [
      { id: 'old', shim: { state: 'connected', thread: 0 } },
      { id: 'new', shim: { state: 'connected', thread: 1 } },
    ]);
    const metrics = await second.get('/metrics');
    t.match(metrics, /^peerpod_links 2$/m);
    t.match(metrics, /^peerpod_calls_total\{method="Check",code="ok"\} [2-9]/m, 'figures of both, as one');
    t.equal(metrics.match(/^# TYPE peerpod_calls_total/gm)?.length, 1);

    // Its shim asked for its VM on a socket that is the new proxy's by now, which knows nobody of that id.
    await second.hypervisor.StopVM({ id: 'old' });
    await before.client.closed;
    await second.program.said('proxy of another generation is gone');
    t.notOk(proxiesOf(directory).includes(old), 'with its last pod');
    t.equal(generationsBelow(directory).length, 1, 'and its directory');
    t.match(await after.health.Check({}), { status: 1 });
    t.match(
      await second.get('/metrics'),
      /^peerpod_calls_total\{method="Check",code="ok"\} [3-9]/m,
      'what it had counted stays counted',
    );
    await second.hypervisor.StopVM({ id: 'new' });
    t.match(await second.program.kill('SIGTERM'), { code: 0 });
    t.strictSame(await leftovers(directory), nothing);
  },
);

t.test(
  'back to settings that were left: a third proxy, since a retired one takes nothing new',
  { timeout: 60_000 },
  async t => {
    const directory = temporary(t);
    let adaptor = await startAdaptor(t, directory, ['-log-level=info']);
    const shim = await dialAgent(await startPod(adaptor.hypervisor, 'first'));
    for (const flags of [['-log-level=debug'], ['-log-level=info']]) {
      await adaptor.program.kill('SIGTERM');
      adaptor = await startAdaptor(t, directory, flags);
      t.match(await shim.health.Check({}), { status: 1 });
    }
    t.ok(
      await until(() => proxiesOf(directory).length === 2),
      'the one between had nothing to serve and ended',
    );
    await startPod(adaptor.hypervisor, 'second');
    for (const id of ['first', 'second']) await adaptor.hypervisor.StopVM({ id });
    t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
    t.strictSame(await leftovers(directory), nothing);
  },
);

t.test(
  'a proxy that is killed is there again within a second, with every socket',
  { timeout: 60_000 },
  async t => {
    const directory = temporary(t);
    const adaptor = await startAdaptor(t, directory);
    const socket = await startPod(adaptor.hypervisor, 'pod');
    const shim = await dialAgent(socket);
    const [proxy = 0] = proxiesOf(directory);
    process.kill(proxy, 'SIGKILL');
    await shim.client.closed;
    const began = performance.now();
    const answersAgain = async (dial: Parameters<typeof answers>[0]): Promise<number> => {
      while (!(await answers(dial))) await sleep(5);
      return Math.round(performance.now() - began);
    };
    const took = await Promise.all([
      answersAgain(shimsSocket(socketIn(directory))),
      answersAgain(agentsSocket(socket)),
    ]);
    t.comment(`hypervisor.sock and agent.ttrpc after ${took.join(' and ')} ms`);
    t.ok(Math.max(...took) < 1000, 'within a second');
    const again = await dialAgent(socket);
    t.match(await again.health.Check({}), { status: 1 });
    await adaptor.program.said('proxy lost, its connections are closed; another one is started');
    t.not(proxiesOf(directory)[0], proxy);
    again.client.close();
    const shimSide = await dialHypervisor(socketIn(directory));
    await shimSide.hypervisor.StopVM({ id: 'pod' });
    t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
    t.strictSame(await leftovers(directory), nothing);
  },
);

t.test(
  'of a proxy that died with its adaptor, the next adaptor carries out the stops and serves the pods',
  { timeout: 60_000 },
  async t => {
    const directory = temporary(t);
    const first = await startAdaptor(t, directory, ['-data-path-threads=1']);
    const kept = await startPod(first.hypervisor, 'kept', 'kept');
    await startPod(first.hypervisor, 'stopped', 'stopped');
    await first.program.kill('SIGKILL');
    const { hypervisor } = await dialHypervisor(socketIn(directory));
    await hypervisor.StopVM({ id: 'stopped' });
    for (const pid of proxiesOf(directory)) process.kill(pid, 'SIGKILL');
    await untilNoProxy(directory, 3000);

    const second = await startAdaptor(t, directory, ['-data-path-threads=2']);
    t.match(await second.program.said('proxy of another generation is gone'), { stops: 1 });
    t.ok(await until(() => vmsIn(directory).length === 1), 'the stop was carried out');
    const shim = await dialAgent(kept);
    t.match(await shim.health.Check({}), { status: 1 });
    t.equal(generationsBelow(directory).length, 1);
    await second.hypervisor.StopVM({ id: 'kept' });
    t.match(await second.program.kill('SIGTERM'), { code: 0 });
    t.strictSame(await leftovers(directory), nothing);
  },
);

t.test('a proxy that somebody else runs is used, and none is started', { timeout: 60_000 }, async t => {
  const directory = temporary(t);
  const place = join(directory, 'proxy');
  const proxy = new Program(t, 'agent-protocol-proxy', [
    `-directory=${place}`,
    `-socket=${socketIn(directory)}`,
  ]);
  const flags = [`-proxy-socket=${place}/control.sock`];
  const first = await startAdaptor(t, directory, flags);
  t.notOk(existsSync(join(directory, 'pods/.state/proxy')));
  const shim = await dialAgent(await startPod(first.hypervisor, 'pod'));
  await first.program.kill('SIGKILL');
  t.match(await shim.health.Check({}), { status: 1 });
  const second = await startAdaptor(t, directory, flags);
  await second.hypervisor.StopVM({ id: 'pod' });
  await proxy.kill('SIGKILL');
  const other = new Program(t, 'agent-protocol-proxy', [
    `-directory=${place}`,
    `-socket=${socketIn(directory)}`,
  ]);
  while (!(await answers(shimsSocket(socketIn(directory))))) await sleep(20);
  const { hypervisor } = await dialHypervisor(socketIn(directory));
  await startPod(hypervisor, 'again');
  await hypervisor.StopVM({ id: 'again' });
  t.match(await second.program.kill('SIGTERM'), { code: 0 });
  t.match(await other.kill('SIGTERM'), { code: 0 });
});

t.test('the process that carries bytes of VMs may do little and holds little', async t => {
  const directory = temporary(t);
  const adaptor = await startAdaptor(t, directory, [], { env: { AWS_SECRET_ACCESS_KEY: 'cloud-secret' } });
  await startPod(adaptor.hypervisor, 'pod');
  const [proxy = 0] = proxiesOf(directory);
  t.notMatch(procFile(proxy, 'environ'), /cloud-secret/);
  t.match(procFile(adaptor.program.pid, 'environ'), /cloud-secret/, 'which the adaptor has');
  const stat = procFile(proxy, 'stat')
    .replace(/^.*\) /, '')
    .split(' ');
  t.equal(Number(stat[2]), proxy, 'a process group of its own');
  t.equal(Number(stat[3]), proxy, 'a session of its own');
  for (const set of ['CapPrm', 'CapEff', 'CapInh', 'CapBnd'])
    t.match(procFile(proxy, 'status'), new RegExp(`^${set}:\\s+0+$`, 'm'), `${set} is empty`);
  const [generation = ''] = generationsBelow(directory);
  t.ok(readdirSync(generation).includes('material.json'));
  t.ok(processesOf(directory).length > 1);
});
