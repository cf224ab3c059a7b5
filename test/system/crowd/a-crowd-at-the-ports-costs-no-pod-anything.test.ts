// SPDX-License-Identifier: Apache-2.0
// A thousand connections that never speak and fifty that speak very slowly, at a real forwarder and at a real adaptor's
// socket: pods are served meanwhile, new links are made, and memory stays bounded.
import { readdirSync } from 'node:fs';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { socketIn, startAdaptor } from '../../kit/adaptor-program.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider } from '../../kit/cabled-provider.js';
import { residentMiB, temporary } from '../../kit/directory.js';
import { dialAgent, dialHypervisor, startPod } from '../../kit/shim.js';

const SILENT = 1_000;
const SLOW = 50;
/** More than the process had, in mebibytes. A connection that waits costs some kilobytes. */
const BOUND_MIB = 48;
/** The first bytes of a TLS hello, sent one at a time. */
const HELLO = Buffer.from('16030100c8010000c4030300000000000000000000000000000000', 'hex');

async function join(t: Test, where: NetConnectOpts): Promise<Socket> {
  const socket = connect(where);
  t.teardown(() => socket.destroy());
  await new Promise(resolve => socket.once('connect', resolve).once('error', resolve));
  socket.on('error', () => {}).resume();
  return socket;
}

async function crowd(t: Test, where: NetConnectOpts): Promise<Socket[]> {
  const silent = await Promise.all(Array.from({ length: SILENT }, () => join(t, where)));
  const slow = await Promise.all(Array.from({ length: SLOW }, () => join(t, where)));
  for (const socket of slow) {
    let at = 0;
    const drip = setInterval(() => {
      if (socket.destroyed || at >= HELLO.length) clearInterval(drip);
      else socket.write(HELLO.subarray(at, ++at));
    }, 50);
    t.teardown(() => clearInterval(drip));
  }
  return [...silent, ...slow];
}

t.test('at the forwarder', { timeout: 40_000 }, async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const path = await startPod(rig.hypervisor, 'crowd');
  const shim = await dialAgent(path);
  t.teardown(() => shim.client.close());
  await shim.health.Check({});
  const { pid } = provider.vm.forwarder;
  const before = residentMiB(pid);
  const sockets = await crowd(t, { port: provider.vm.port, host: '127.0.0.1' });
  let slowest = 0;
  for (let n = 0; n < 40; n += 1) {
    const began = performance.now();
    await shim.health.Check({});
    slowest = Math.max(slowest, performance.now() - began);
    await sleep(10);
  }
  t.ok(slowest < 500, `the slowest of 40 calls took ${slowest.toFixed(1)} ms`);
  const another = await dialAgent(path);
  t.match(await another.health.Check({}), { status: 1 }, 'a new link is made through the crowd');
  another.client.close();
  const waiting = sockets.filter(socket => !socket.destroyed).length;
  t.ok(waiting <= 256, `${waiting} of the crowd are still there`);
  const grown = residentMiB(pid) - before;
  t.ok(grown < BOUND_MIB, `the forwarder grew by ${grown.toFixed(1)} MiB`);
  t.ok(
    (provider.vm.forwarder.stderr.match(/\n/g)?.length ?? 0) < 200,
    'and its log did not grow with the crowd',
  );
});

t.test("at the adaptor's socket", { timeout: 40_000 }, async t => {
  const directory = temporary(t);
  const { program, hypervisor } = await startAdaptor(t, directory);
  await hypervisor.Version({});
  const before = residentMiB(program.pid);
  await crowd(t, { path: socketIn(directory) });
  const late = await dialHypervisor(socketIn(directory));
  t.match(await late.hypervisor.Version({}), { version: /./ }, 'a shim that comes last is served');
  const grown = residentMiB(program.pid) - before;
  t.ok(grown < BOUND_MIB, `the adaptor grew by ${grown.toFixed(1)} MiB`);
  const ended = await Promise.race([program.kill('SIGTERM'), sleep(6_000, null)]);
  t.match(ended, { code: 0 }, 'the crowd does not hold up its end');
});

t.test('connections that come and go leave nothing in the forwarder', { timeout: 40_000 }, async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const path = await startPod(rig.hypervisor, 'churn');
  const { pid } = provider.vm.forwarder;
  const round = async (): Promise<void> => {
    const sockets = await Promise.all(
      Array.from({ length: 250 }, () => join(t, { port: provider.vm.port, host: '127.0.0.1' })),
    );
    for (const socket of sockets) socket.resetAndDestroy();
    const shim = await dialAgent(path);
    await shim.health.Check({});
    shim.client.close();
  };
  for (let n = 0; n < 4; n += 1) await round();
  const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const [memory, files] = [residentMiB(pid), descriptors()];
  for (let n = 0; n < 8; n += 1) await round();
  const end = Date.now() + 5_000;
  while (descriptors() > files && Date.now() < end) await sleep(20);
  t.ok(descriptors() <= files, `descriptors: ${files}, then ${descriptors()}`);
  t.ok(
    residentMiB(pid) - memory < 24,
    `memory: ${memory.toFixed(0)}, then ${residentMiB(pid).toFixed(0)} MiB`,
  );
});
