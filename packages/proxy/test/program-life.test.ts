// SPDX-License-Identifier: Apache-2.0
// A proxy from its start to its end: killed and started again, replaced by a newer one, told to stop with pods and without.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import t from 'tap';
import { Authority } from '@peerpod-tls/certs';
import { eventually } from '../../../test/kit/log.js';
import type { Program } from '../../../test/kit/program.js';
import { dialAgent } from '../../../test/kit/shim.js';
import { specMessage } from '../src/control/index.js';
import { plainAgent, World, type Calls, type Scope } from './kit/proxy-program.js';

/** A proxy with sandboxes whose sockets are open. */
async function opened(
  t: Scope,
  sandboxes: readonly string[],
  argv: readonly string[] = [],
): Promise<{ world: World; program: Program; calls: Calls; port: number }> {
  const world = new World(t);
  const program = await world.start(argv);
  const port = await plainAgent(t);
  const { calls } = await world.control();
  await calls.SetMaterial({ material: { name: 'disabled' } });
  for (const id of sandboxes) await calls.Open({ spec: specMessage(world.spec(id, port)) });
  return { world, program, calls, port };
}

/** How long Node takes here and now for nothing at all; 40 ms where nothing else runs. */
function emptyProgramMs(): number {
  const began = performance.now();
  spawnSync(process.execPath, ['-e', '0'], { env: {} });
  return performance.now() - began;
}

t.test('one that was killed comes up with its sockets by itself, within a second', async t => {
  for (const threads of ['1', '2']) {
    const sandboxes = Array.from({ length: 20 }, (_, at) => `s${at}`);
    const { world, program } = await opened(t, sandboxes, [`-data-path-threads=${threads}`]);
    const before = await dialAgent(world.spec('s3', 1).socket);
    t.match(await before.health.Check({}), { status: 1 });
    await program.kill('SIGKILL');
    await before.client.closed;
    const began = performance.now();
    await world.start([`-data-path-threads=${threads}`]);
    const ms = performance.now() - began;
    for (const id of ['s0', 's19']) {
      const { health, client } = await dialAgent(world.spec(id, 1).socket);
      t.match(
        await health.Check({}),
        { status: 1 },
        `${id} is served without anybody having told it anything`,
      );
      client.close();
    }
    const { calls } = await world.control();
    const { sandboxes: list } = await calls.List({});
    t.strictSame(list.map(({ sandbox }) => sandbox).toSorted(), sandboxes.toSorted());
    t.match(list[0], { pod: /^default\/s/ });
    t.match(await calls.Hello({ api: 1 }), { sandboxes: 20, socket: world.socket, retired: false });
    // On a machine that is busy with other tests an empty program of Node takes longer as well.
    t.ok(ms < Math.max(1000, 20 * emptyProgramMs()), `${Math.round(ms)} ms with ${threads} threads`);
  }
});

t.test('a second one in the same directory is refused, and the first goes on', async t => {
  const { world, calls } = await opened(t, ['a']);
  const { code, stderr } = await world.launch().ended;
  t.equal(code, 1);
  t.match(stderr, /control.sock is in use: a running process answers on it/);
  t.match(await calls.Hello({ api: 1 }), { socket: world.socket });
  t.match(await (await dialAgent(world.spec('a', 1).socket)).health.Check({}), { status: 1 });
});

t.test(
  'a newer one takes the hypervisor socket, the older one keeps its pods and ends with the last',
  async t => {
    const { world, program: older, calls, port } = await opened(t, ['a', 'b']);
    const shim = await dialAgent(world.spec('a', 1).socket);
    const place = join(world.directory, 'next');
    const newer = new World(t);
    Object.assign(newer, {
      place,
      socket: world.socket,
      files: {
        ...newer.files,
        controlSocket: join(place, 'control.sock'),
        adaptorSocket: join(place, 'adaptor.sock'),
      },
    });
    await newer.start(['-generation=next']);
    t.match(await (await newer.control()).calls.Hello({ api: 1 }), {
      generation: 'next',
      socket: world.socket,
      sandboxes: 0,
    });
    await calls.Retire({});
    await calls.Retire({});
    t.match(await calls.Hello({ api: 1 }), { retired: true, socket: '', sandboxes: 2, generation: 'gen' });
    t.match((await calls.Open({ spec: specMessage(world.spec('c', port)) })).failure, {
      code: 'ERR_PROXY_LEAVING',
      message: /takes no new sandbox such as c: it is retired/,
    });
    t.strictSame(
      (await calls.Open({ spec: specMessage(world.spec('a', port)) })).failure,
      null,
      'what it has it has',
    );
    await newer.adaptor();
    t.match(
      await (await world.shim()).hypervisor.Version({}),
      { version: 'one' },
      'shims find the newer one',
    );
    t.match(await shim.health.Check({}), { status: 1 }, 'and the older one serves its pods');
    await calls.Close({ sandbox: 'b' });
    await later(200);
    t.equal(older.child.exitCode, null);
    await calls.Close({ sandbox: 'a' });
    t.match(await older.ended, { code: 0 });
    t.match(
      await (await world.shim()).hypervisor.Version({}),
      { version: 'one' },
      'it took away nothing of the newer one',
    );
  },
);

t.test('a retired one that was killed does not take the hypervisor socket back', async t => {
  const { world, program, calls } = await opened(t, ['a']);
  await calls.Retire({});
  await program.kill('SIGKILL');
  const again = await world.start();
  const { calls: told } = await world.control();
  t.match(await told.Hello({ api: 1 }), { retired: true, socket: '', sandboxes: 1 });
  await told.Close({ sandbox: 'a' });
  t.match(await again.ended, { code: 0 });
  t.notOk(existsSync(join(world.place, 'retired')), 'and one that is started after its end is a new one');
});

t.test('a retired one with nothing left ends at once, one with a StopVM to hand on does not', async t => {
  const { program, calls } = await opened(t, []);
  await calls.Retire({});
  t.match(await program.ended, { code: 0 });
  const other = await opened(t, []);
  await (await other.world.shim()).hypervisor.StopVM({ id: 'a' });
  await other.calls.Retire({});
  await later(200);
  t.equal(other.program.child.exitCode, null);
  const adaptor = await other.world.adaptor();
  t.match(await other.program.ended, { code: 0 });
  t.strictSame(adaptor.got, ['StopVM a']);
});

t.test('told to stop it refuses while there are pods, and names them', async t => {
  const { program, calls } = await opened(t, ['a', 'b']);
  const { stopping, sandboxes } = await calls.Stop({});
  t.equal(stopping, false);
  t.strictSame(sandboxes.map(({ pod }) => pod).toSorted(), ['default/a', 'default/b']);
  await later(200);
  t.equal(program.child.exitCode, null);
  await calls.Close({ sandbox: 'a' });
  await calls.Close({ sandbox: 'b' });
  t.match(await calls.Stop({}), { stopping: true, sandboxes: [] });
  t.match(await program.ended, { code: 0 });
});

for (const how of ['Stop', 'SIGTERM'] as const) {
  t.test(
    `ended with pods by ${how}, it closes their connections and waits for each one's StopVM`,
    async t => {
      const { world, program, calls } = await opened(t, ['a', 'b', 'idle'], ['-drain-timeout=10s']);
      const shims = await Promise.all(['a', 'b'].map(id => dialAgent(world.spec(id, 1).socket)));
      for (const { health } of shims) await health.Check({});
      const once = await dialAgent(world.spec('idle', 1).socket);
      await once.health.Check({});
      once.client.close();
      t.ok(await eventually(() => program.lines().some(({ msg }) => msg === 'shim disconnected')));
      if (how === 'Stop') {
        const answer = await calls.Stop({ now: true });
        t.equal(answer.stopping, true);
        t.equal(answer.sandboxes.length, 3);
      } else program.child.kill('SIGTERM');
      await Promise.all(shims.map(({ client }) => client.closed));
      const late = await world.shim();
      t.match(await late.hypervisor.StopVM({ id: 'a' }), {}, 'the socket is still there');
      await later(100);
      t.equal(program.child.exitCode, null, 'b has not called yet');
      t.match(await late.hypervisor.StopVM({ id: 'b' }), {});
      t.match(await program.ended, { code: 0 }, 'the one whose shim had left is not waited for');
      t.notOk(existsSync(world.socket));
      t.strictSame(readdirSync(world.files.stops).toSorted(), ['a.json', 'b.json']);
      t.strictSame(readdirSync(world.files.sandboxes), ['idle.json']);
    },
  );
}

t.test('pods that do not stop their VMs hold it up no longer than it was told', async t => {
  const { world, program } = await opened(t, ['a'], ['-drain-timeout=300ms']);
  const shim = await dialAgent(world.spec('a', 1).socket);
  await shim.health.Check({});
  program.child.kill('SIGTERM');
  const { code } = await program.ended;
  t.equal(code, 0);
  t.match(
    program.lines().find(({ msg }) => msg.startsWith('pods did not stop')),
    { sandboxes: ['a'] },
  );
});

t.test('what it writes down is for its own user alone', async t => {
  const world = new World(t);
  await world.start();
  const authority = await Authority.create({ subject: { CN: 'modes' } });
  const { certPem, keyPem } = await authority.issue('client', { subject: { CN: 'x' } });
  const { calls } = await world.control();
  const tls = {
    chainPem: certPem,
    keyPem,
    anchorsPem: [authority.certPem],
    minVersion: 'TLSv1.3',
    checkedAt: new Date().toISOString(),
  };
  t.strictSame((await calls.SetMaterial({ material: { name: 'automatic', tls } })).failure, null);
  await calls.Open({ spec: specMessage(world.spec('a', 1)) });
  await (await world.shim()).hypervisor.StopVM({ id: 'b' });
  const modes = (path: string): string => (statSync(path).mode & 0o777).toString(8);
  t.equal(modes(world.files.material), '600');
  t.equal(modes(join(world.files.sandboxes, 'a.json')), '600');
  t.equal(modes(join(world.files.stops, 'b.json')), '600');
  t.equal(modes(world.files.controlSocket), '600');
  t.equal(modes(world.socket), '600');
  for (const directory of [world.place, world.files.sandboxes, world.files.stops])
    t.equal(modes(directory), '700');
});
