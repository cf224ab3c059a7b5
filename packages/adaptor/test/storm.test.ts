// SPDX-License-Identifier: Apache-2.0
// Random calls about a few sandboxes, many at once, from callers without patience, on a platform that fails now and
// then, with the adaptor restarted in between. Whatever happens, in the end every VM can be stopped and none is left.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { annotations, eventually, PORT, startRig, temporary, type Rig } from './kit/adaptor.js';
import { TestProvider } from './kit/provider.js';

/** mulberry32: small, seeded, good enough to shuffle calls. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const IDS = ['storm-a', 'storm-b', 'storm-c'];

async function storm(rig: Rig, next: () => number, calls: number): Promise<void> {
  const one = async (): Promise<void> => {
    const id = IDS[Math.floor(next() * IDS.length)] ?? '';
    const patience = next() < 0.3 ? { timeoutMs: 1 + Math.floor(next() * 30) } : {};
    const dice = next();
    const what = dice < 0.4 ? 'create' : dice < 0.88 ? 'start' : 'stop';
    const { provider } = rig;
    if (next() < 0.1) provider.failCreate += 1;
    if (next() < 0.1) provider.failAfterCreate += 1;
    if (next() < 0.1) provider.failDelete += 1;
    try {
      if (what === 'create') {
        await rig.hypervisor.CreateVM({ id, annotations: annotations(), networkNamespacePath: '' }, patience);
      } else if (what === 'start') {
        await rig.hypervisor.StartVM({ id }, patience);
      } else {
        await rig.hypervisor.StopVM({ id }, patience);
      }
    } catch (error) {
      if (error instanceof Error && /internal error/.test(error.message)) throw error;
    }
  };
  const running = new Set<Promise<void>>();
  for (let at = 0; at < calls; at += 1) {
    const call = one().finally(() => running.delete(call));
    running.add(call);
    if (running.size >= 6) await Promise.race(running);
    if (next() < 0.3) await new Promise(resolve => setTimeout(resolve, next() * 40));
  }
  await Promise.all(running);
}

for (const seed of [1, 20_261_121]) {
  t.test(`a storm of calls leaves no VM behind (seed ${seed})`, async t => {
    const next = random(seed);
    const directory = temporary(t);
    const provider = new TestProvider(PORT);
    const timing = { deletionRetryMs: 5 };
    const first = await startRig(t, { directory, provider, timing });
    await storm(first, next, 150);
    t.ok(provider.specs.length > 0, 'the storm reached the platform');
    await first.close();
    t.notMatch(first.log.text(), /internal error/);

    const second = await startRig(t, { directory, provider, timing });
    await storm(second, next, 60);
    Object.assign(provider, { failCreate: 0, failAfterCreate: 0, failDelete: 0 });
    for (const id of IDS) await second.hypervisor.StopVM({ id }).catch(() => undefined);
    t.ok(await eventually(() => provider.vms.size === 0), 'every VM is deleted');
    const records = path.join(directory, 'pods', '.state', 'sandboxes');
    t.ok(await eventually(() => readdirSync(records).length === 0), 'every record is gone');
    t.notMatch(second.log.text(), /internal error/);
    for (const id of IDS) {
      await second.hypervisor.CreateVM({ id, annotations: annotations(), networkNamespacePath: '' });
      await second.hypervisor.StartVM({ id });
      await second.hypervisor.StopVM({ id });
    }
    t.equal(provider.vms.size, 0, 'and all of them work again');
    t.strictSame(readdirSync(path.join(directory, 'pods')), ['.state']);
  });
}
