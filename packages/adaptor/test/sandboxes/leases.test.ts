// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@peerpod-tls/daemon';
import t from 'tap';
import { Leases } from '../../src/sandboxes/leases.js';

function rig(failing = false) {
  const sandboxes = new Set<string>();
  const stopped: string[] = [];
  const leases = new Leases({
    log: createLogger({ name: 'test', level: 'fatal' }),
    exists: id => sandboxes.has(id),
    stop: async id => {
      stopped.push(id);
      if (failing) throw new Error('the platform is away');
      sandboxes.delete(id);
    },
    createMs: 30,
  });
  return { leases, sandboxes, stopped };
}

t.test('a sandbox whose holder goes is stopped, also one that is still being created', async t => {
  const { leases, sandboxes, stopped } = rig();
  const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
  const held = leases.hold('a', first.signal);
  sandboxes.add('a');
  first.abort();
  await held;
  t.strictSame(stopped, ['a']);
  void leases.hold('b', second.signal);
  second.abort();
  sandboxes.add('b');
  void leases.hold('never-made', third.signal);
  third.abort();
  await sleep(60);
  t.strictSame(stopped, ['a', 'b']);
});

t.test('a released sandbox stays, and so do all when the adaptor closes', async t => {
  const { leases, sandboxes, stopped } = rig();
  const [first, second] = [new AbortController(), new AbortController()];
  const released = leases.hold('a', first.signal);
  const closed = leases.hold('b', second.signal);
  sandboxes.add('a').add('b');
  leases.release('a');
  await released;
  leases.close();
  await closed;
  first.abort();
  second.abort();
  await sleep(60);
  t.strictSame(stopped, []);
  t.throws(() => leases.release('a'), { code: 'ERR_TTRPC_STATUS' });
});

t.test(
  'an id is held once, and one of a sandbox not at all; a stop that fails ends nothing else',
  async t => {
    const { leases, sandboxes, stopped } = rig(true);
    const holder = new AbortController();
    const held = leases.hold('a', holder.signal);
    await t.rejects(leases.hold('a', new AbortController().signal), { code: 'ERR_TTRPC_STATUS' });
    sandboxes.add('other').add('a');
    await t.rejects(leases.hold('other', new AbortController().signal), { message: /other already/ });
    holder.abort();
    await held;
    await sleep(10);
    t.strictSame(stopped, ['a']);
    await t.resolves(leases.hold('c', AbortSignal.abort()));
  },
);
