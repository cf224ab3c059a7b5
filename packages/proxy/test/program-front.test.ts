// SPDX-License-Identifier: Apache-2.0
// The hypervisor socket of the real program, with an adaptor behind it, without one, and with one that dies over a call.
import { setTimeout as later } from 'node:timers/promises';
import { createServer } from 'node:net';
import t from 'tap';
import { hypervisorService, operatorService } from '@peerpod-tls/agent-protocol';
import { clientOf, StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import { eventually } from '../../../test/kit/log.js';
import { World } from './kit/proxy-program.js';

const refused = (status: number) => ({ code: 'ERR_TTRPC_STATUS', status });

t.test('calls go to the adaptor and its answers come back, words and codes as they are', async t => {
  const world = new World(t);
  await world.start();
  const adaptor = await world.adaptor({
    hypervisor: {
      StartVM: () => {
        throw new StatusError(StatusCode.alreadyExists, 'there is one');
      },
    },
  });
  const { hypervisor, info } = await world.shim();
  t.match(await hypervisor.CreateVM({ id: 'a', annotations: { x: 'y' } }), {
    agentSocketPath: '/from/the/adaptor',
  });
  t.match(await hypervisor.Version({}), { version: 'one' });
  t.match(await info.GetInfo({ PodName: 'p', PodNamespace: 'n' }), { VMID: 'vm-1' });
  await t.rejects(hypervisor.StartVM({ id: 'a' }), {
    status: StatusCode.alreadyExists,
    message: 'there is one',
  });
  t.strictSame(adaptor.got, ['CreateVM a', 'StartVM a']);
});

t.test('the four calls that may wait do so until an adaptor comes', async t => {
  const world = new World(t);
  await world.start();
  const { hypervisor, info } = await world.shim();
  const waiting = Promise.all([
    hypervisor.CreateVM({ id: 'a' }),
    hypervisor.StartVM({ id: 'a' }),
    hypervisor.Version({}),
    info.GetInfo({ PodName: 'p' }),
  ]);
  await later(300);
  const adaptor = await world.adaptor();
  t.match(await waiting, [
    { agentSocketPath: '/from/the/adaptor' },
    {},
    { version: 'one' },
    { VMID: 'vm-1' },
  ]);
  t.strictSame(adaptor.got.toSorted(), ['CreateVM a', 'StartVM a']);
});

t.test(
  'a caller whose time is up is told that nobody came, in words, and before it stops listening',
  async t => {
    const world = new World(t);
    await world.start();
    const { hypervisor } = await world.shim();
    await t.rejects(hypervisor.CreateVM({ id: 'a' }, { timeoutMs: 600 }), {
      status: StatusCode.unavailable,
      message:
        /no cloud-api-adaptor has come up on this node: hypervisor.Hypervisor\/CreateVM waited \d+ms for one \(start it;/,
    });
  },
);

t.test('everything else is refused at once while there is no adaptor, in words', async t => {
  const world = new World(t);
  await world.start();
  const { client } = await world.shim();
  const began = performance.now();
  await t.rejects(clientOf(operatorService, client).ListOrphans({}), {
    status: StatusCode.unavailable,
    message:
      /no cloud-api-adaptor is running on this node, which peerpod.Operator\/ListOrphans needs \(start it;/,
  });
  await t.rejects(client.call('no.Service', 'Nothing', Buffer.of()), refused(StatusCode.unavailable));
  t.ok(performance.now() - began < 1000);
  await world.adaptor();
  await t.rejects(client.call('no.Service', 'Nothing', Buffer.of()), {
    status: StatusCode.unimplemented,
    message: 'service no.Service',
  });
});

t.test(
  'a call whose adaptor dies over it goes out again to the next one, also from another connection',
  async t => {
    const world = new World(t);
    await world.start();
    const first = await world.adaptor({
      hypervisor: { CreateVM: () => new Promise(() => {}), StartVM: () => new Promise(() => {}) },
    });
    const [one, two] = [await world.shim(), await world.shim()];
    const created = one.hypervisor.CreateVM({ id: 'a' });
    const started = two.hypervisor.StartVM({ id: 'b' }, { timeoutMs: 10_000 });
    t.ok(await eventually(() => first.got.length === 2));
    await first.die();
    const second = await world.adaptor();
    t.match(await created, { agentSocketPath: '/from/the/adaptor' });
    t.match(await started, {});
    t.strictSame(second.got.toSorted(), ['CreateVM a', 'StartVM b']);
  },
);

t.test('what an adaptor that shuts down does not take is for the next one', async t => {
  const world = new World(t);
  await world.start();
  const first = await world.adaptor({
    hypervisor: {
      StartVM: () => {
        throw new StatusError(StatusCode.unavailable, 'the adaptor is shutting down');
      },
    },
  });
  const { hypervisor } = await world.shim();
  const started = hypervisor.StartVM({ id: 'a' });
  t.ok(await eventually(() => first.got.length > 0));
  await first.die();
  await world.adaptor();
  t.match(await started, {});
});

t.test('a call that may not be made twice is answered as unknown when its adaptor dies over it', async t => {
  const world = new World(t);
  await world.start();
  let reached = (): void => {};
  const there = new Promise<void>(resolve => (reached = resolve));
  const adaptor = await world.adaptor({ operator: { Release: () => new Promise(() => reached()) } });
  const { client } = await world.shim();
  const released = clientOf(operatorService, client).Release({ id: 'a' });
  await there;
  await adaptor.die();
  await t.rejects(released, {
    status: StatusCode.unavailable,
    message: /ended before it answered peerpod.Operator\/Release \(whether it was carried out is not known\)/,
  });
});

t.test('each caller has a connection to the adaptor of its own, which ends with it', async t => {
  const world = new World(t);
  await world.start();
  const left: string[] = [];
  const adaptor = await world.adaptor({
    hypervisor: {
      StartVM: ({ id }, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            left.push(id);
            reject(signal.reason);
          });
        }),
    },
  });
  const [one, two] = [await world.shim(), await world.shim()];
  one.hypervisor.StartVM({ id: 'a' }).catch(() => {});
  two.hypervisor.StartVM({ id: 'b' }).catch(() => {});
  t.ok(await eventually(() => adaptor.got.length === 2));
  t.equal(adaptor.server.connections, 2);
  one.client.close();
  t.ok(await eventually(() => left.length === 1));
  t.strictSame(left, ['a']);
  t.ok(await eventually(() => adaptor.server.connections === 1));
});

t.test(
  'an adaptor that says it serves and does not, or talks nonsense, costs callers their call and no more',
  async t => {
    const world = new World(t);
    const program = await world.start();
    const { calls } = await world.control();
    await calls.Hello({ api: 1, serves: true });
    const { hypervisor, client } = await world.shim();
    await t.rejects(hypervisor.Version({}, { timeoutMs: 500 }), refused(StatusCode.unavailable));
    const nonsense = createServer(socket => {
      socket.on('error', () => {});
      socket.once('data', () => socket.write(Buffer.alloc(64, 0xff)));
    });
    await new Promise<void>(resolve => nonsense.listen(world.files.adaptorSocket, resolve));
    t.teardown(() => nonsense.close());
    await t.rejects(client.call('no.Service', 'Nothing', Buffer.of(), { timeoutMs: 2000 }));
    const hello = nonsense;
    hello.close();
    await world.adaptor();
    t.match(await clientOf(hypervisorService, client).Version({}), { version: 'one' });
    t.equal(program.child.exitCode, null);
  },
);
