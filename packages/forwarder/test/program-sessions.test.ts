// SPDX-License-Identifier: Apache-2.0
// Links that are cut under the real program: resumed within -link-grace, counted, and given up after it.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { agentService, healthService } from '@peerpod-tls/agent-protocol';
import { beginSession, dialLink, startRelay } from '@peerpod-tls/link';
import type { Relay, VerifiedPeer } from '@peerpod-tls/link';
import { clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import type { TtrpcClient } from '@peerpod-tls/ttrpc';
import t from 'tap';
import type { Test } from 'tap';

import { Cutter } from '../../link/test/support/cutter.js';
import { Program } from './support/program.js';
import { clientSecurity, makeWorld, SERVER_NAME, silent, startAgent } from './support/world.js';
import type { Agent, World } from './support/world.js';

interface Stage {
  readonly world: World;
  readonly agent: Agent;
  readonly program: Program;
  readonly cutter: Cutter;
  readonly resumed: string[];
  metric(name: string): Promise<number>;
  /** A client on a socket whose calls go to the program over a link that is resumed. */
  client(): Promise<TtrpcClient>;
  dial(signal?: AbortSignal): Promise<VerifiedPeer>;
}

async function stage(t: Test, ...flags: readonly string[]): Promise<Stage> {
  const world = await makeWorld(t);
  const agent = await startAgent(t, world);
  const program = new Program(t, [...world.argv, '-status-address', '127.0.0.1:0', ...flags]);
  const port = await program.port();
  const { address } = await program.said('status listened');
  const cutter = await Cutter.open(t, port);
  const resumed: string[] = [];
  const dial = (signal = new AbortController().signal): Promise<VerifiedPeer> =>
    dialLink({
      host: '127.0.0.1',
      port: cutter.port,
      security: clientSecurity(world),
      serverName: SERVER_NAME,
      session: true,
      signal,
      log: silent,
    });
  return {
    world,
    agent,
    program,
    cutter,
    resumed,
    dial,
    async metric(name) {
      const text = await (await fetch(`http://${String(address)}/metrics`)).text();
      const line = text.split('\n').find(one => one.startsWith(`${name} `));
      return Number(line?.split(' ').at(-1));
    },
    async client() {
      const path = `${world.directory}/shim${Math.random()}.sock`;
      const relays: Relay[] = [];
      const listener = createServer({ allowHalfOpen: true }, downstream => {
        relays.push(
          startRelay({
            downstream,
            rewrites: [],
            redial: { budgetMs: 5_000 },
            log: silent,
            openUpstream: async signal => {
              const peer = await dial(signal);
              if (peer.peer.tls?.session !== true) return peer;
              return beginSession({
                peer,
                redial: dial,
                onResumed: cause => void resumed.push(cause),
                log: silent,
              });
            },
          }),
        );
      }).listen(path);
      await once(listener, 'listening');
      const client = await connectUnix(path);
      t.teardown(async () => {
        client.close();
        for (const relay of relays) relay.close();
        await Promise.all(relays.map(relay => relay.closed));
        listener.close();
      });
      return client;
    },
  };
}

async function met(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const until = performance.now() + 20_000; !(await condition()); await wait(10))
    if (performance.now() > until) throw new Error(`not in time: ${String(condition)}`);
}

t.test(
  'a link that is cut is resumed: a call that waits goes on, and one that may not run twice runs once',
  async t => {
    const { agent, program, cutter, resumed, metric, client } = await stage(t);
    const one = await client();
    const calls = clientOf(agentService, one);
    const waits = calls.WaitProcess({ containerId: 'c', execId: 'c' });
    waits.catch(() => {});
    await met(() => agent.waiting() === 1);
    t.equal(await metric('peerpod_forwarder_sessions{state="linked"}'), 1);
    const away = cutter.takeAway(1_000);
    const created = calls.CreateContainer({ containerId: 'c', OCI: { Linux: {} } });
    const cut = await program.said('link cut, session kept');
    t.match(cut, { cause: 'reset', graceMs: 60_000 });
    t.equal(await metric('peerpod_forwarder_sessions{state="away"}'), 1);
    t.equal(await metric('peerpod_forwarder_links'), 0, 'it is no link that is open');
    await away;
    await created;
    await program.said('link resumed');
    t.equal(agent.containers.length, 1);
    t.equal(agent.waiting(), 1, 'the wait was not asked for again');
    t.equal(await metric('peerpod_forwarder_sessions_resumed_total'), 1);
    t.equal(await metric('peerpod_forwarder_link_losses_total{cause="reset"}'), 1);
    t.strictSame(resumed, ['reset']);
    one.close();
    t.match(await program.said('link closed'), { why: 'downstream-closed' });
    t.equal(await metric('peerpod_forwarder_sessions_lost_total'), 0);
  },
);

t.test('after -link-grace it is given up, with its calls', async t => {
  const { agent, program, cutter, metric, client } = await stage(t, '-link-grace', '300ms');
  const calls = clientOf(agentService, await client());
  const waits = calls.WaitProcess({ containerId: 'c', execId: 'c' });
  waits.catch(() => {});
  await met(() => agent.waiting() === 1);
  await cutter.takeAway(800);
  t.match(await program.said('link closed'), {
    why: 'downstream-closed',
    reason: 'the link was not resumed within the 0.3 s it is kept for',
  });
  t.equal(await metric('peerpod_forwarder_sessions_lost_total'), 1);
});

t.test('with -link-grace 0s there are no sessions, and links are what they were', async t => {
  const { dial, metric, client } = await stage(t, '-link-grace', '0s');
  const peer = await dial();
  t.equal(peer.peer.tls?.session, false);
  peer.close();
  t.match(await clientOf(healthService, await client()).Check({}), { status: 1 });
  t.equal(await metric('peerpod_forwarder_sessions{state="linked"}'), 0);
});

t.test(
  'a forwarder that was killed and started anew knows no session, and what may run twice is sent again',
  async t => {
    const { world, agent, program, cutter, client } = await stage(t);
    const calls = clientOf(agentService, await client());
    const waits = calls.WaitProcess({ containerId: 'c', execId: 'c' });
    waits.catch(() => {});
    await met(() => agent.waiting() === 1);
    const port = await program.port();
    cutter.away = true;
    program.child.kill('SIGKILL');
    await program.exited;
    const argv = world.argv.map(arg => (arg === '127.0.0.1:0' ? `127.0.0.1:${port}` : arg));
    const next = new Program(t, argv);
    await next.port();
    cutter.away = false;
    t.match(await next.said('session refused'), { reason: 'unknown' });
    await met(() => agent.waiting() === 2);
  },
);
