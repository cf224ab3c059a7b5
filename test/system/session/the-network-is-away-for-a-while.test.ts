// SPDX-License-Identifier: Apache-2.0
// The network is away for 1, 10, 50 and 70 seconds, at the same time for four pods: three do not notice, the fourth is
// told in words. Waits for real time, since the grace time of a link is 60 s.
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { countedPods, type CountedPod } from '../../kit/counted-pod.js';
import { patternAt, sha256 } from '../../kit/counting-agent.js';
import type { ShimAgent } from '../../kit/shim.js';

t.setTimeout(120_000);

const container = (id: string): Parameters<ShimAgent['agent']['CreateContainer']>[0] => ({
  containerId: id,
  execId: id,
  OCI: { Version: '1.1.0', Process: { Args: ['sleep', '600'] }, Linux: {} },
});

/** Calls of every kind, open when the network goes; what each should come to. */
async function openCalls(pod: CountedPod, { agent }: ShimAgent, name: string) {
  const { agent: counting } = pod;
  const release = counting.hold(`${name}-before`);
  const created = agent.CreateContainer(container(`${name}-before`));
  const waited = agent.WaitProcess({ containerId: 'c', execId: `${name}-wait` });
  // Handled where they are awaited.
  for (const call of [created, waited]) call.catch(() => {});
  await agent.StatsContainer({ containerId: 'c' });
  return { release, created, waited };
}

async function away(t: Test, pod: CountedPod, seconds: number): Promise<void> {
  const shim = await pod.dial();
  const name = `away${seconds}`;
  let gone = false;
  void shim.client.closed.then(() => (gone = true));
  const data = Buffer.alloc(200_000, name);
  await shim.agent.WriteStdin({ containerId: 'c', execId: name, data });
  const { release, created, waited } = await openCalls(pod, shim, name);

  await pod.cable.cut();
  const began = Date.now();
  // The agent answers while nobody can hear it.
  release();
  pod.agent.exit(`${name}-wait`, 7);
  const during = shim.agent.CreateContainer(container(`${name}-during`));
  const written = shim.agent.WriteStdin({ containerId: 'c', execId: name, data });
  const read = shim.agent.ReadStdout({ containerId: 'c', execId: name, len: 100_000 });
  await sleep(seconds * 1000);
  await pod.cable.mend();
  await created;
  t.match(await waited, { status: 7 });
  await during;
  t.match(await written, { len: data.length });
  t.ok(patternAt(0, 100_000).equals((await read).data), 'what was read is what was given out');
  t.ok(Date.now() - began < seconds * 1000 + 6_000, `the last was answered after ${Date.now() - began} ms`);
  for (const when of ['before', 'during']) t.equal(pod.agent.seen.get(`${name}-${when}`), 1, `once: ${when}`);
  t.strictSame(pod.agent.stdinOf(name), { length: 2 * data.length, sha256: sha256(data, data) });
  t.notOk(gone, "the shim's connection is the same");
  t.equal(pod.agent.connections, 1, "and the agent's");
}

async function tooLong(t: Test, pod: CountedPod, seconds: number): Promise<void> {
  const shim = await pod.dial();
  const { release, created } = await openCalls(pod, shim, 'long');
  await pod.cable.cut();
  const began = Date.now();
  release();
  const during = shim.agent.CreateContainer(container('long-during'));
  const failures = [created, during].map(call =>
    call.then(
      () => 'answered',
      (error: unknown) => ({ message: error instanceof Error ? error.message : '', ms: Date.now() - began }),
    ),
  );
  await sleep(seconds * 1000);
  await pod.cable.mend();
  const [before, meanwhile] = await Promise.all(failures);
  t.match(
    before,
    { message: /the link to the pod VM was cut while this call was open; it is not known whether/ },
    'a call whose outcome nobody knows says so',
  );
  t.comment(`${JSON.stringify(before)} ${JSON.stringify(meanwhile)}`);
  t.equal(pod.agent.seen.get('long-before'), 1);
  t.ok((pod.agent.seen.get('long-during') ?? 0) <= 1);
  const again = await pod.dial();
  await again.agent.CreateContainer(container('long-after'));
  t.equal(pod.agent.seen.get('long-after'), 1, 'a new connection works once the network is back');
}

t.test('1, 10 and 50 seconds without a network cost time, 70 end what is open in words', async t => {
  const [one, ten, fifty, seventy] = await countedPods(t, 4);
  if (one === undefined || ten === undefined || fifty === undefined || seventy === undefined)
    throw new Error('there are not four pods');
  await Promise.all([away(t, one, 1), away(t, ten, 10), away(t, fifty, 50), tooLong(t, seventy, 70)]);
});
