// SPDX-License-Identifier: Apache-2.0
// The network between worker and pod VM takes every packet and delivers none, so that nothing resets the link. Both
// sides notice within seconds instead of a quarter of an hour, and the rest is what happens after any other cut of a link
// that is not resumed.
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { noNetwork } from '../../kit/netns.js';
import { status } from '../../kit/shim.js';
import { wiredPod } from '../../kit/wired-pod.js';

const WAIT = 'while ! [ -e "$DIR/done" ]; do sleep 0.1; done; exit 7';
/** As a forwarder that keeps no session of a link that was cut. */
const UNKEPT = { forwarderFlags: ['-link-grace', '0s'] };
/** 15 s of silence, seen at most 3 s late; the rest is for a busy machine. */
const NOTICED_MS = { least: 14_000, most: 23_000 } as const;
const seconds = (since: number): number => Math.round((Date.now() - since) / 100) / 10;

/** A call that may not run twice, and that shows whether it ran. */
const touch = (path: string) => ({
  containerId: 'c',
  execId: 'e',
  process: { Args: ['touch', path], Env: ['PATH=/usr/bin:/bin'], Cwd: '/', User: { UID: 0, GID: 0 } },
});

/** A router that forgets its route, with calls open on both sides of it. */
async function route(t: Test): Promise<void> {
  // A listener on :: sees an IPv4 adaptor at an IPv6 address that maps it.
  const pod = await wiredPod(t, { family: 'v4', listen: '[::]', command: WAIT, ...UNKEPT });
  const { agent, health, wire, directory } = pod;
  let gone = false;
  void pod.client.closed.then(() => (gone = true));
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  await health.Check({});
  wire.swallow();
  const began = Date.now();
  const check = health.Check({});
  const exec = agent.ExecProcess(touch(`${directory}/ran`));
  // Its end is an answer that the forwarder sends into the same hole.
  writeFileSync(`${directory}/done`, '');
  await t.rejects(exec, status(14, /the link to the pod VM was cut while this call was open/));
  const took = Date.now() - began;
  t.ok(took > NOTICED_MS.least && took < NOTICED_MS.most, `the worker noticed after ${seconds(began)} s`);
  t.match(await pod.proxy.said('link lost'), {
    error: /^10\.0\.2\.2:15150 has acknowledged nothing for (?:1[5-9]|2\d) s$/,
    failed: 1,
  });
  await pod.vm.forwarder.said('link closed because its network swallows packets');
  t.ok(Date.now() - began < NOTICED_MS.most, `the VM noticed within ${seconds(began)} s`);
  await pod.vm.forwarder.said('link closed', line => line['cause'] === 'stalled');
  wire.mend();
  t.match(await check, { status: 1 }, 'a call that may run twice is answered over the new link');
  t.match(await waiting, { status: 7 }, 'a wait gets the true exit code');
  t.match(await pod.proxy.said('link redialled'), { failed: 1, replayed: 2 });
  t.notOk(gone, "the shim's connection is the same");
  for (const [host, name] of [
    ['worker', 'peerpod_link_losses_total'],
    ['vm', 'peerpod_forwarder_link_losses_total'],
  ] as const) {
    const counted = pod.metrics(host).match(new RegExp(`^${name}\\{.*\\} [1-9].*$`, 'gmu'));
    t.strictSame(counted, [`${name}{cause="stalled"} 1`], 'the cause is counted');
  }
  t.match(pod.metrics('vm'), /^peerpod_forwarder_links 1$/mu, 'and the lost link is none of the open ones');
}

/** A VM's host that is unplugged, over IPv6. */
async function unplugged(t: Test): Promise<void> {
  const pod = await wiredPod(t, { family: 'v6', listen: '[fd00:2::2]', command: 'sleep 600', ...UNKEPT });
  const { agent, health, wire, directory } = pod;
  const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });
  await health.Check({});
  wire.plug(false);
  const began = Date.now();
  const check = health.Check({});
  const exec = agent.ExecProcess(touch(`${directory}/ran`));
  await t.rejects(exec, status(14, /it is not known whether the agent ran it/));
  t.match(await pod.proxy.said('link lost'), {
    error: /^\[fd00:2::2\]:15150 has acknowledged nothing for (?:1[5-9]|2\d) s$/,
  });
  const took = Date.now() - began;
  t.ok(
    took > NOTICED_MS.least && took < NOTICED_MS.most,
    `an unplugged host is noticed after ${seconds(began)} s`,
  );
  wire.plug(true);
  t.match(await check, { status: 1 });
  // The VM's end of the old link still stands. Had this end been closed instead of reset, the kernel would go on trying
  // to deliver what was sent, and succeed now.
  await sleep(began + 28_000 - Date.now());
  t.notOk(existsSync(`${directory}/ran`), 'what was answered Unavailable is not delivered later');
  await agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 9 });
  t.match(await waiting, { status: 137 });
}

// Beside each other: the time goes into waiting.
t.test('both sides notice, and go on as after any cut', { skip: noNetwork, timeout: 55_000 }, async t => {
  await Promise.all([route(t), unplugged(t)]);
});
