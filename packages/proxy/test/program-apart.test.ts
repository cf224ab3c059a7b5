// SPDX-License-Identifier: Apache-2.0
// What a running proxy holds and may do: its own files and sockets, and nothing that only an adaptor needs.
import { chownSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import t from 'tap';
import { dialAgent } from '../../../test/kit/shim.js';
import { specMessage } from '../src/control/index.js';
import { plainAgent, World } from './kit/proxy-program.js';

/** What a process has open, sockets and pipes by their kind. */
function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/:\[.*$/, '')];
    } catch {
      return [];
    }
  });
}

t.test('with a pod on it, it has no file open but its own, and none of the machine’s secrets', async t => {
  const world = new World(t);
  const program = await world.start();
  const { calls } = await world.control();
  await calls.SetMaterial({ material: { name: 'disabled' } });
  const spec = world.spec('a', await plainAgent(t));
  await calls.Open({ spec: specMessage(spec) });
  const shim = await dialAgent(spec.socket);
  await shim.health.Check({});
  const files = openFiles(program.pid).filter(path => path.startsWith('/'));
  t.strictSame(
    files.filter(path => !['/dev/null', '/dev/urandom'].includes(path) && !path.startsWith(world.place)),
    [],
  );
});

const root = process.getuid?.() === 0;

t.test(
  'as a user without any right it serves a pod from its first call to its StopVM',
  { skip: root ? false : 'only root can become another user' },
  async t => {
    const world = new World(t);
    const uid = 65_534;
    for (const path of [world.directory, world.place, dirname(world.spec('a', 1).socket)]) {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      chownSync(path, uid, uid);
    }
    const program = await world.start([], { uid });
    const status = readFileSync(`/proc/${program.pid}/status`, 'utf8');
    for (const set of ['CapPrm', 'CapEff', 'CapInh', 'CapAmb'])
      t.match(status, new RegExp(`^${set}:\\s+0+$`, 'm'), `${set} is empty`);
    t.match(status, /^Uid:\s+65534\s+65534/m);
    const { calls } = await world.control();
    await calls.SetMaterial({ material: { name: 'disabled' } });
    const spec = world.spec('a', await plainAgent(t));
    t.strictSame((await calls.Open({ spec: specMessage(spec) })).failure, null);
    t.match(await (await dialAgent(spec.socket)).health.Check({}), { status: 1 });
    await (await world.shim()).hypervisor.StopVM({ id: 'a' });
    t.strictSame(readdirSync(world.files.stops), ['a.json']);
  },
);
