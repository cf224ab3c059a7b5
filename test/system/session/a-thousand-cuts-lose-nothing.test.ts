// SPDX-License-Identifier: Apache-2.0
// A thousand random cuts, stalls and absences of the network under shims that come, call and go at random, held against
// a model: nothing lost, nothing doubled, and memory and connections back where they were.
import { randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Cable } from '../../kit/cable.js';
import { countedPod } from '../../kit/counted-pod.js';
import { residentMiB } from '../../kit/directory.js';
import { ShimModel } from '../../kit/shim-model.js';
import { seeded, type Random } from '../../kit/seeded.js';

t.setTimeout(180_000);

const ROUNDS = 1000;
/** Of them, until pools and heaps have the size that such a load takes. */
const WARM_UP = 300;
const SHIMS = 6;
/** A cut whose byte does not come in time is made where it stands. */
const WAIT_MS = 40;
const GRACE_MS = 5000;
/** A handshake that was cut off is given up after 10 s. */
const SETTLE_MS = 15_000;
/** What a heap may keep for reasons of its own. */
const SLACK_MIB = 24;

/** One thing that happens to a network. */
async function disturb(cable: Cable, random: Random): Promise<void> {
  switch (random.below(8)) {
    case 0:
      cable.hold();
      await sleep(random.below(60));
      cable.release();
      return;
    case 1:
      await cable.cut();
      await sleep(random.below(60));
      await cable.mend();
      return;
    case 2:
      cable.reset();
      return;
    default: {
      const cut = cable.cutAfter({
        direction: random.below(2) === 0 ? 'up' : 'down',
        // Also inside of the handshake and the first frames of the link that follows.
        after: random.below(3) === 0 ? random.below(3000) : random.below(100_000),
        by: random.pick(['reset', 'end', 'end', 'reset', 'silence']),
      });
      const end = Date.now() + WAIT_MS;
      while (!cut.done && Date.now() < end) await sleep(2);
      cut.cancel();
      if (!cut.done) cable.reset();
    }
  }
}

const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

t.test('a thousand cuts under mixed load lose nothing and double nothing', async t => {
  const seed = Number(process.env['PEERPOD_SEED'] ?? randomInt(2 ** 31));
  t.comment(`PEERPOD_SEED=${seed} disturbs in the same way`);
  const random = seeded(seed);
  const pod = await countedPod(t, { forwarderFlags: [`-link-grace=${GRACE_MS}ms`] });
  // The forwarder keeps one of its own in hand.
  const atRest = pod.agent.connections;
  const models = Array.from(
    { length: SHIMS },
    (_, at) => new ShimModel({ name: `shim${at}`, pod, random: seeded(seed + at + 1) }),
  );
  const { pid } = pod.vm.forwarder;
  const files = openFiles(pid);
  const settle = async (): Promise<void> => {
    const end = Date.now() + SETTLE_MS;
    const busy = (): boolean =>
      pod.agent.connections > atRest || pod.cable.open > 0 || openFiles(pid) > files;
    while (busy() && Date.now() < end) await sleep(50);
  };
  const round = async (rounds: number): Promise<void> => {
    for (const model of models) model.start();
    for (let at = 0; at < rounds; at += 1) {
      await disturb(pod.cable, random);
      await sleep(random.below(15));
    }
    await Promise.all(models.map(model => model.stop()));
    await settle();
  };

  await round(WARM_UP);
  const before = { memory: residentMiB(pid), own: openFiles(process.pid) };
  const links = pod.cable.taken;
  await round(ROUNDS - WARM_UP);

  t.strictSame(models.flatMap(model => model.faults).slice(0, 30), []);
  t.strictSame(
    [...pod.agent.seen].filter(([, times]) => times > 1),
    [],
    'also of the calls that their shims left, none was run twice',
  );
  const sum = (of: (model: ShimModel) => number): number => models.reduce((all, model) => all + of(model), 0);
  t.comment(
    `${sum(m => m.answered)} calls answered, ${sum(m => m.abandoned)} left by their shims, ${sum(m => m.connections)} connections of shims, ${pod.cable.taken - links} links`,
  );
  t.ok(pod.cable.taken - links > ROUNDS / 2, 'the network was disturbed');
  t.ok(sum(m => m.answered) > ROUNDS, 'and used');
  t.equal(pod.agent.connections, atRest, 'no connection to the agent is left');
  t.equal(pod.cable.open, 0, 'nor a link');
  t.ok(openFiles(pid) <= files, 'nor any other file of the forwarder');
  t.ok(openFiles(process.pid) <= before.own + 2, 'nor of the other side');
  const grown = residentMiB(pid) - before.memory;
  t.ok(grown < SLACK_MIB, `the forwarder has grown by ${grown.toFixed(1)} MiB`);
});
