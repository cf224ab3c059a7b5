// SPDX-License-Identifier: Apache-2.0
// What TCP mends by itself must be left to it: a network that is away for some seconds, and a forwarder that is stopped
// for longer than a lost network would be given, while its kernel goes on to answer.
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { procFile } from '../../kit/directory.js';
import { noNetwork } from '../../kit/netns.js';
import { dialAgent } from '../../kit/shim.js';
import { wiredPod, type WiredPod } from '../../kit/wired-pod.js';

const BLINK_MS = 5_000;
/** A lost network is noticed within 20 s. */
const STOPPED_MS = 24_000;
/** A socket of /proc/net/tcp6 that stands, has bytes to send, and asks (timer 4) whether it may. */
const PROBED = / 01 (?!0{8})[\dA-F]{8}:[\dA-F]{8} 04:/;
/** Lines of either side that tell of a loss. */
function losses(pod: WiredPod): readonly string[] {
  const said = [...pod.proxy.lines(), ...pod.vm.forwarder.lines()].map(({ msg }) => msg);
  return said.filter(msg => /^link (?:closed because|lost|redialled)/.test(msg));
}

/** A blink of five seconds costs no call and no link. */
async function blink(t: Test): Promise<void> {
  const pod = await wiredPod(t, { family: 'v4', listen: '0.0.0.0', command: 'sleep 600' });
  const { agent, health, wire } = pod;
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  await health.Check({});
  wire.swallow();
  const check = health.Check({});
  const exec = agent.ExecProcess({
    containerId: 'c',
    execId: 'e',
    process: { Args: ['true'], Env: ['PATH=/usr/bin:/bin'], Cwd: '/', User: { UID: 0, GID: 0 } },
  });
  let answered = false;
  void check.finally(() => (answered = true));
  await sleep(BLINK_MS);
  t.notOk(answered, 'it was a real one');
  wire.mend();
  t.match(await check, { status: 1 });
  await t.resolves(exec, 'also a call that may not run twice');
  // Long enough for what was seen in the blink to be counted on, had it not been answered.
  await sleep(18_000);
  await agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 9 });
  t.match(await waiting, { status: 137 });
  t.strictSame(losses(pod), []);
}

/** A forwarder that is stopped is waited for, its window open or closed. */
async function stopped(t: Test): Promise<void> {
  const pod = await wiredPod(t, { family: 'v6', listen: '[fd00:2::2]', command: 'cat > /dev/null' });
  const { agent, health } = pod;
  await health.Check({});
  const second = await dialAgent(pod.path);
  t.teardown(() => second.client.close());
  await second.health.Check({});
  const { forwarder } = pod.vm;
  forwarder.child.kill('SIGSTOP');
  t.teardown(() => forwarder.child.kill('SIGCONT'));
  const check = second.health.Check({});
  const data = Buffer.alloc(256 * 1024);
  let written = 0;
  const writes = Array.from({ length: 64 }, async () => {
    const { len } = await agent.WriteStdin({ containerId: 'c', execId: 'c', data });
    written += len;
  });
  await sleep(STOPPED_MS);
  t.equal(written, 0, 'nothing was answered meanwhile');
  t.match(procFile(pod.adaptor.pid, 'net/tcp6'), PROBED, 'one link waits for its window');
  t.strictSame(losses(pod), []);
  forwarder.child.kill('SIGCONT');
  await Promise.all(writes);
  t.equal(written, 64 * data.length, 'all of it arrives');
  t.match(await check, { status: 1 });
  t.strictSame(losses(pod), []);
}

// Beside each other: the time goes into waiting.
t.test('nothing is cut', { skip: noNetwork, timeout: 55_000 }, async t => {
  await Promise.all([blink(t), stopped(t)]);
});
