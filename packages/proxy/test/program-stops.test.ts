// SPDX-License-Identifier: Apache-2.0
// No StopVM is lost: whatever is missing when it comes, whatever is killed after it was answered.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import { eventually } from '../../../test/kit/log.js';
import { dialAgent } from '../../../test/kit/shim.js';
import { specMessage } from '../src/control/index.js';
import { plainAgent, World } from './kit/proxy-program.js';

const left = (world: World): string[] => readdirSync(world.files.stops).toSorted();

t.test(
  'with an adaptor a StopVM is on disk while it is carried out, and gone when it was answered',
  async t => {
    const world = new World(t);
    await world.start();
    const seen: string[][] = [];
    await world.adaptor({
      hypervisor: {
        StopVM: ({ id }) => {
          seen.push(left(world));
          if (id === 'b') throw new StatusError(StatusCode.internal, 'the cloud is on fire');
          return {};
        },
      },
    });
    const { hypervisor } = await world.shim();
    await hypervisor.StopVM({ id: 'a' });
    await t.rejects(hypervisor.StopVM({ id: 'b' }), {
      status: StatusCode.internal,
      message: 'the cloud is on fire',
    });
    t.strictSame(seen, [['a.json'], ['b.json']]);
    t.strictSame(left(world), [], 'an answer is an answer: what follows is the affair of the adaptor');
  },
);

t.test('without one it is written down, answered, and carried out by the next one', async t => {
  const world = new World(t);
  await world.start();
  const { hypervisor } = await world.shim();
  t.match(await hypervisor.StopVM({ id: 'a' }), {});
  t.match(await hypervisor.StopVM({ id: 'a' }), {}, 'twice comes to the same');
  t.strictSame(left(world), ['a.json']);
  t.equal(statSync(join(world.files.stops, 'a.json')).mode & 0o777, 0o600);
  t.match(JSON.parse(readFileSync(join(world.files.stops, 'a.json'), 'utf8')), { sandbox: 'a', at: String });
  const { calls } = await world.control();
  t.match(await calls.Hello({ api: 1 }), { pendingStops: ['a'] });
  const adaptor = await world.adaptor();
  t.ok(await eventually(() => left(world).length === 0));
  t.strictSame(adaptor.got, ['StopVM a']);
  t.match(await calls.Hello({ api: 1 }), { pendingStops: [] });
});

t.test(
  'a proxy that is killed right after its answer hands the StopVM on when it is there again',
  async t => {
    const world = new World(t);
    const first = await world.start();
    const { hypervisor } = await world.shim();
    await Promise.all(['a', 'b', 'c'].map(id => hypervisor.StopVM({ id })));
    await first.kill('SIGKILL');
    t.strictSame(left(world), ['a.json', 'b.json', 'c.json']);
    await world.start();
    const adaptor = await world.adaptor();
    t.ok(await eventually(() => left(world).length === 0));
    t.strictSame(adaptor.got.toSorted(), ['StopVM a', 'StopVM b', 'StopVM c']);
  },
);

t.test(
  'an adaptor that is killed over a StopVM leaves it to the next one, and the shim is answered',
  async t => {
    const world = new World(t);
    await world.start();
    const first = await world.adaptor({ hypervisor: { StopVM: () => new Promise(() => {}) } });
    const { hypervisor } = await world.shim();
    const stopped = hypervisor.StopVM({ id: 'a' });
    t.ok(await eventually(() => first.got.length === 1));
    await first.die();
    t.match(await stopped, {});
    t.strictSame(left(world), ['a.json']);
    const second = await world.adaptor();
    t.ok(await eventually(() => left(world).length === 0));
    t.strictSame(second.got, ['StopVM a']);
  },
);

t.test('a shim that leaves over a StopVM does not take it along', async t => {
  const world = new World(t);
  await world.start();
  let calls = 0;
  const adaptor = await world.adaptor({
    hypervisor: {
      StopVM: () => {
        calls += 1;
        return calls === 1 ? new Promise(() => {}) : {};
      },
    },
  });
  const { hypervisor, client } = await world.shim();
  hypervisor.StopVM({ id: 'a' }).catch(() => {});
  t.ok(await eventually(() => adaptor.got.length === 1));
  client.close();
  t.ok(await eventually(() => left(world).length === 0));
  t.strictSame(adaptor.got, ['StopVM a', 'StopVM a']);
});

t.test('a StopVM that was left is tried again until the adaptor has an answer to it', async t => {
  const world = new World(t);
  await world.start();
  const { hypervisor } = await world.shim();
  await hypervisor.StopVM({ id: 'a' });
  await hypervisor.StopVM({ id: 'never-there' });
  let refusals = 3;
  const adaptor = await world.adaptor({
    hypervisor: {
      StopVM: ({ id }) => {
        if (id === 'never-there') throw new StatusError(StatusCode.notFound, 'there is none');
        refusals -= 1;
        if (refusals >= 0) throw new StatusError(StatusCode.unavailable, 'the cloud does not answer');
        return {};
      },
    },
  });
  t.ok(await eventually(() => left(world).length === 0));
  t.equal(adaptor.got.filter(call => call === 'StopVM a').length, 4);
  t.equal(
    adaptor.got.filter(call => call === 'StopVM never-there').length,
    1,
    'there is nothing to try again',
  );
});

t.test(
  'a sandbox whose StopVM was left is closed at once, and a proxy that starts again does not open it',
  async t => {
    const world = new World(t);
    const first = await world.start();
    const spec = world.spec('a', await plainAgent(t));
    const { calls } = await world.control();
    await calls.SetMaterial({ material: { name: 'disabled' } });
    t.strictSame((await calls.Open({ spec: specMessage(spec) })).failure, null);
    const shim = await dialAgent(spec.socket);
    t.match(await shim.health.Check({}), { status: 1 });
    const { hypervisor } = await world.shim();
    await hypervisor.StopVM({ id: 'a' });
    await shim.client.closed;
    t.ok(await eventually(() => !existsSync(spec.socket)));
    t.match((await calls.List({})).sandboxes, []);
    await first.kill('SIGKILL');
    await world.start();
    t.notOk(existsSync(spec.socket));
  },
);

t.test('an id that can name no file is the adaptor’s to refuse, and touches no file', async t => {
  const world = new World(t);
  await world.start();
  const { hypervisor } = await world.shim();
  for (const id of ['../../evil', '', '.hidden', 'a/b', 'a\0b', 'x'.repeat(129)])
    await t.rejects(hypervisor.StopVM({ id }), {
      status: StatusCode.unavailable,
      message: /no cloud-api-adaptor/,
    });
  await world.adaptor({
    hypervisor: {
      StopVM: () => {
        throw new StatusError(StatusCode.invalidArgument, 'no such name');
      },
    },
  });
  await t.rejects(hypervisor.StopVM({ id: '../../evil' }), {
    status: StatusCode.invalidArgument,
    message: 'no such name',
  });
  t.strictSame(left(world), []);
  t.strictSame(readdirSync(world.directory).toSorted(), ['gen', 'hypervisor.sock']);
});

t.test(
  'killed in the midst of StopVM calls, a proxy forgets none that it answered',
  { timeout: 120_000 },
  async t => {
    const world = new World(t);
    const answered = new Set<string>();
    for (let round = 0; round < 6; round += 1) {
      const program = await world.start();
      const { hypervisor } = await world.shim();
      const calls = Array.from({ length: 20 }, (_, at) => {
        const id = `s${round}-${at}`;
        return hypervisor.StopVM({ id }).then(
          () => answered.add(id),
          () => {},
        );
      });
      await new Promise(resolve => setTimeout(resolve, round * 3));
      await program.kill('SIGKILL');
      await Promise.all(calls);
    }
    await world.start();
    const adaptor = await world.adaptor();
    t.ok(await eventually(() => left(world).length === 0, 20_000));
    const carried = new Set(adaptor.got.map(call => call.slice('StopVM '.length)));
    t.strictSame(
      [...answered].filter(id => !carried.has(id)),
      [],
    );
  },
);
