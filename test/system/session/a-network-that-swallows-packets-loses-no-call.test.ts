// SPDX-License-Identifier: Apache-2.0
// A network that takes packets and delivers none, for fifty seconds: both sides notice that the link is dead, and that it
// is back; no call notices either. Real programs on hosts of their own.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { noNetwork } from '../../kit/netns.js';
import { wiredPod } from '../../kit/wired-pod.js';

t.setTimeout(120_000);

const AWAY_MS = 50_000;
/** A dial that was swallowed is tried again a while later. */
const BACK_MS = 15_000;

t.test(
  'fifty seconds of a network that swallows packets cost time and no call',
  { skip: noNetwork },
  async t => {
    const pod = await wiredPod(t, { family: 'v4', listen: '0.0.0.0', command: 'sleep 600' });
    const { agent, client, wire, vm } = pod;
    let gone = false;
    void client.closed.then(() => (gone = true));
    const exec = (execId: string, script: string) =>
      agent.ExecProcess({
        containerId: 'c',
        execId,
        process: {
          Args: ['sh', '-c', script],
          Env: ['PATH=/usr/bin:/bin'],
          Cwd: '/',
          User: { UID: 0, GID: 0 },
        },
      });
    await exec('cat', 'cat; exit 3');
    const place = { containerId: 'c', execId: 'cat' };
    const echo = async (text: string): Promise<string> => {
      await agent.WriteStdin({ ...place, data: Buffer.from(text) });
      let came = '';
      while (came.length < text.length)
        came += Buffer.from((await agent.ReadStdout({ ...place, len: 4096 })).data).toString();
      return came;
    };
    t.equal(await echo('before'), 'before');
    const waiting = agent.WaitProcess({ containerId: 'c', execId: 'c' });

    wire.swallow();
    const began = Date.now();
    const during = [exec('during', `echo ran >> ${pod.directory}/during`), echo('on its way')] as const;
    await sleep(AWAY_MS);
    wire.mend();
    await during[0];
    t.equal(await during[1], 'on its way');
    const took = Date.now() - began;
    t.ok(took < AWAY_MS + BACK_MS, `answered ${took - AWAY_MS} ms after the network was back`);
    t.match(await agent.WaitProcess({ containerId: 'c', execId: 'during' }), { status: 0 });
    t.match(await vm.forwarder.said('link resumed'), { level: 'info' });
    t.equal(await echo('after'), 'after');
    t.notOk(gone, "the shim's connection is the same");
    await agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 9 });
    t.match(await waiting, { status: 137 });
    t.match(pod.metrics('vm'), /^peerpod_forwarder_link_losses_total\{cause="(?:stalled|timed-out)"\} 1$/m);
  },
);
