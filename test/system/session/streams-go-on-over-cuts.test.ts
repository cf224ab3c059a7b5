// SPDX-License-Identifier: Apache-2.0
// What is long goes on where it was: a frame of 3 MiB that is cut in either direction, and streams of a process over
// twenty cuts.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { countedPod } from '../../kit/counted-pod.js';
import { patternAt, sha256 } from '../../kit/counting-agent.js';

t.setTimeout(120_000);

const LONG = 3 * 1024 * 1024;

t.test('a frame of 3 MiB that is cut in either direction comes whole, once', async t => {
  const pod = await countedPod(t);
  const { agent } = await pod.dial();
  const data = randomBytes(LONG);
  // Also several times within one frame: each link gets a part of it.
  for (const afters of [[1], [700_001], [3_000_000], [5, 16_405, 1_000_000], [400_000, 400_000, 400_000]]) {
    const execId = `long-${afters.join('-')}`;
    for (const direction of ['up', 'down'] as const) {
      const cuts = afters.map((after, at) =>
        pod.cable.cutAfter({ direction, after: after + at, by: at % 2 === 0 ? 'reset' : 'end' }),
      );
      if (direction === 'up') {
        t.match(await agent.WriteStdin({ containerId: 'c', execId, data }), { len: LONG });
        t.strictSame(pod.agent.stdinOf(execId), { length: LONG, sha256: sha256(data) });
      } else {
        const answer = await agent.ReadStdout({ containerId: 'c', execId, len: LONG });
        t.ok(patternAt(0, LONG).equals(answer.data), 'the bytes that the agent gave out');
        t.equal(pod.agent.stdoutOf(execId), LONG, 'and no more than those');
      }
      t.ok(
        cuts.every(({ done }) => done),
        `${direction}, after ${afters.join(', ')}`,
      );
    }
  }
});

t.test('standard input and output of a process go on over twenty cuts', async t => {
  const pod = await countedPod(t);
  const { client, agent } = await pod.dial();
  let gone = false;
  void client.closed.then(() => (gone = true));
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'e' });
  const written: Buffer[] = [];
  const read: Buffer[] = [];
  const deadline = new AbortController();
  const over = (): boolean => deadline.signal.aborted;
  const write = async (): Promise<void> => {
    while (!over()) {
      const data = randomBytes(1 + Math.floor(Math.random() * 40_000));
      written.push(data);
      await agent.WriteStdin({ containerId: 'c', execId: 'e', data });
    }
  };
  const readAll = async (): Promise<void> => {
    while (!over())
      read.push(Buffer.from((await agent.ReadStdout({ containerId: 'c', execId: 'e', len: 32_768 })).data));
  };
  const streams = [write(), readAll()];
  const links = pod.cable.taken;
  for (let cut = 0; cut < 20; cut += 1) {
    await sleep(100);
    if (cut % 4 === 3) {
      await pod.cable.cut();
      await sleep(300);
      await pod.cable.mend();
    } else if (cut % 4 === 2) pod.cable.reset();
    else pod.cable.cutAfter({ direction: cut % 4 === 0 ? 'up' : 'down', after: 20_011, by: 'end' });
  }
  await sleep(300);
  deadline.abort();
  await Promise.all(streams);
  t.ok(pod.cable.taken - links >= 20, `${pod.cable.taken - links} links were dialled`);
  t.strictSame(pod.agent.stdinOf('e'), {
    length: written.reduce((sum, { length }) => sum + length, 0),
    sha256: sha256(...written),
  });
  const all = Buffer.concat(read);
  t.ok(patternAt(0, all.length).equals(all), `${all.length} bytes of output without a gap`);
  t.equal(pod.agent.stdoutOf('e'), all.length, 'and none that was given out is missing');
  pod.agent.exit('e', 7);
  t.match(await waiting, { status: 7 });
  t.notOk(gone, "the shim's connection is the same");
});
