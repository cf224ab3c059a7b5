// SPDX-License-Identifier: Apache-2.0
// Calls over a link that is cut: a ttrpc client on a Unix socket, a relay, a session over TLS and a network that a test
// cuts, a relay that shares its agent, and a ttrpc server that counts what it is asked.
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { grpc, healthService } from '@peerpod-tls/agent-protocol';
import { clientOf, defineService, implement, TtrpcClient, TtrpcServer, unary } from '@peerpod-tls/ttrpc';
import t, { type Test } from 'tap';
import { startRelay } from '../../src/relay/relay.js';
import { SharedUpstream } from '../../src/relay/shared-upstream.js';
import type { Relay } from '../../src/relay/types.js';
import { beginSession } from '../../src/session/session-dialler.js';
import { unixServer } from '../support/frames.js';
import { Random } from '../support/random.js';
import { sessions, type Sessions } from '../support/sessions.js';
import { silentLog } from '../support/tls.js';

const MIB = 1024 * 1024;
const raw = { encode: (m: Uint8Array) => ({ finish: () => m }), decode: (b: Uint8Array) => b };
/** Nothing of it may run twice. */
const onceService = defineService('test.Once', { Do: unary(raw, raw), Wait: unary(raw, raw) });

type Calls = ReturnType<typeof clientOf<typeof onceService>> & {
  readonly Check: ReturnType<typeof clientOf<typeof healthService>>['Check'];
};

interface Path {
  readonly rig: Sessions;
  /** What the agent was asked, as often as it was asked. */
  readonly asked: Map<string, number>;
  readonly resumed: string[];
  /** Ends the calls of `Wait`. */
  release(): void;
  client(): Promise<Calls>;
}

interface PathOptions {
  readonly graceMs?: number;
  readonly halfFrameMs?: number;
  /** Which of the two ends is of a time before sessions. */
  readonly old?: 'dialler' | 'listener';
}

async function path(t: Test, { graceMs = 10_000, halfFrameMs, old }: PathOptions = {}): Promise<Path> {
  const asked = new Map<string, number>();
  const resumed: string[] = [];
  const waiting = new Set<() => void>();
  const relays: Relay[] = [];
  const server = new TtrpcServer({
    services: [
      implement(healthService, {
        Check: () => {
          asked.set('check', (asked.get('check') ?? 0) + 1);
          return { status: grpc.HealthCheckResponse.ServingStatus.SERVING };
        },
        Version: () => ({ grpcVersion: '0', agentVersion: 'test' }),
      }),
      implement(onceService, {
        Do: message => {
          const key = Buffer.from(message.subarray(0, 8)).toString('hex');
          asked.set(key, (asked.get(key) ?? 0) + 1);
          return Buffer.from(message);
        },
        Wait: async message => {
          await new Promise<void>(resolve => void waiting.add(resolve));
          return Buffer.from(message);
        },
      }),
    ],
  });
  const agent = await unixServer(socket => void server.serve(socket));
  const upstream = new SharedUpstream({
    open: () =>
      new Promise((resolve, reject) => {
        const socket = connect({ path: agent.path, allowHalfOpen: true });
        socket.once('error', reject).once('connect', () => resolve(socket.off('error', reject)));
      }),
    name: 'the agent',
    log: silentLog,
    ...(halfFrameMs === undefined ? {} : { halfFrameMs }),
  });
  const relay = (downstream: Parameters<typeof upstream.relay>[0]['downstream']): void =>
    void relays.push(upstream.relay({ downstream, client: 'one', rewrites: [], log: silentLog }));
  const rig = await sessions(t, {
    graceMs,
    session: old !== 'listener',
    onSession: relay,
    onPlain: relay,
  });
  const shims = await unixServer(downstream => {
    relays.push(
      startRelay({
        downstream,
        rewrites: [],
        redial: { budgetMs: 5_000 },
        healthWaitsMs: 100,
        log: silentLog,
        openUpstream: async signal => {
          const peer = await rig.dial({ signal, session: old !== 'dialler' });
          if (peer.peer.tls?.session !== true) return peer;
          return beginSession({
            peer,
            redial: again => rig.dial({ signal: again }),
            onResumed: cause => void resumed.push(cause),
            log: silentLog,
          });
        },
      }),
    );
  });
  t.teardown(async () => {
    for (const one of relays) one.close();
    await Promise.all(relays.map(one => one.closed));
    await upstream.close();
    await shims.close();
    server.destroy();
    await agent.close();
  });
  return {
    rig,
    asked,
    resumed,
    release: () => {
      for (const resolve of waiting) resolve();
    },
    client: async () => {
      const client = new TtrpcClient(await shims.connect());
      t.teardown(() => client.close());
      return { ...clientOf(onceService, client), Check: clientOf(healthService, client).Check };
    },
  };
}

/** A message that begins with its number. */
function numbered(number: number, size: number): Buffer {
  const message = Buffer.alloc(Math.max(8, size), number % 251);
  message.writeDoubleBE(number);
  return message;
}

const keyOf = (message: Buffer): string => message.subarray(0, 8).toString('hex');

t.test('a call that may not run twice goes on after the network was away, and new ones wait', async t => {
  const { rig, asked, resumed, client, release } = await path(t);
  const calls = await client();
  const waits = calls.Wait(Buffer.from('still there'));
  await calls.Do(numbered(1, 100));
  const away = rig.cutter.takeAway(1_000);
  const during = calls.Do(numbered(2, 100));
  await away;
  t.strictSame(Buffer.from(await during), numbered(2, 100));
  release();
  t.equal(String(Buffer.from(await waits)), 'still there');
  t.strictSame([...asked.values()], [1, 1]);
  t.strictSame(resumed, ['reset']);
});

t.test(
  'a message of 3 MiB that is cut in the middle is sent once and answered once, in either direction',
  async t => {
    for (const direction of ['up', 'down'] as const) {
      const { rig, asked, client } = await path(t);
      const calls = await client();
      await calls.Do(numbered(1, 8));
      const message = numbered(2, 3 * MIB);
      const cut = rig.cutter.cutAfter(direction, 1.4 * MIB);
      const answer = await calls.Do(message);
      await cut;
      t.ok(message.equals(answer), direction);
      t.equal(asked.get(keyOf(message)), 1);
      t.equal(rig.cutter.cuts, 1);
    }
  },
);

t.test('a request that was cut after any of its bytes is sent once and answered once', async t => {
  const { rig, asked, client } = await path(t);
  const calls = await client();
  await calls.Do(numbered(0, 8));
  let number = 0;
  for (const direction of ['up', 'down'] as const)
    for (let at = 1; at < 400; at += 13) {
      number += 1;
      const message = numbered(number, 200);
      rig.cutter.cutAfter(direction, at).catch(() => {});
      const answer = await calls.Do(message);
      if (!message.equals(answer) || asked.get(keyOf(message)) !== 1)
        throw new Error(`cut after ${at} bytes ${direction}: ${asked.get(keyOf(message))} times`);
    }
  t.ok(rig.cutter.cuts > 30, `${rig.cutter.cuts} cuts`);
  t.equal(rig.accepted.length, 0);
});

t.test('many calls of every size over random cuts: each is asked once and has its own answer', async t => {
  const { rig, asked, client } = await path(t);
  const random = new Random(11);
  const clients = [await client(), await client()];
  let number = 0;
  const calling = new AbortController();
  const caller = async (calls: (typeof clients)[number]): Promise<void> => {
    while (!calling.signal.aborted) {
      number += 1;
      const message = numbered(number, random.chance(0.1) ? random.below(MIB) : random.below(4_000));
      const answer = await calls.Do(message);
      if (!message.equals(answer)) throw new Error(`call ${number} has another answer`);
    }
  };
  const callers = clients.flatMap(calls => Array.from({ length: 6 }, () => caller(calls)));
  while (rig.cutter.cuts < 20) {
    await wait(random.below(80));
    if (random.chance(0.3)) await rig.cutter.takeAway(random.below(200));
    else rig.cutter.cut();
  }
  calling.abort();
  await Promise.all(callers);
  t.ok(asked.size > 50, `${asked.size} calls`);
  t.ok([...asked.values()].every(times => times === 1));
});

t.test('half a request of a link that is away is waited for', async t => {
  const { rig, asked, client } = await path(t, { halfFrameMs: 200 });
  const calls = await client();
  await calls.Do(numbered(1, 8));
  const message = numbered(2, 3 * MIB);
  const cut = rig.cutter.cutAfter('up', MIB);
  rig.cutter.onCut = () => {
    rig.cutter.away = true;
    setTimeout(() => (rig.cutter.away = false), 900);
  };
  const answer = calls.Do(message);
  await cut;
  t.ok(message.equals(await answer));
  t.equal(asked.get(keyOf(message)), 1);
});

t.test('a health check does not wait for a link that is being resumed, and calls do', async t => {
  const { rig, asked, client, release } = await path(t);
  const calls = await client();
  const waits = calls.Wait(Buffer.from('x'));
  await calls.Check({});
  const away = rig.cutter.takeAway(900);
  const began = performance.now();
  let answered = 0;
  while (performance.now() - began < 600) {
    const { status } = await calls.Check({});
    t.equal(status, grpc.HealthCheckResponse.ServingStatus.SERVING);
    answered += 1;
  }
  t.ok(answered >= 2, `${answered} checks`);
  await away;
  await calls.Do(numbered(1, 8));
  release();
  t.equal(String(Buffer.from(await waits)), 'x');
  t.equal(asked.get('check'), 1 + answered, 'the answers that came late went to nobody');
  await calls.Check({});
});

t.test(
  'away for longer than it is kept, a call ends with words, and the next one goes over a new link',
  async t => {
    const { rig, client } = await path(t, { graceMs: 300 });
    const calls = await client();
    await calls.Do(numbered(1, 8));
    const waits = calls.Wait(Buffer.from('x'));
    await wait(50);
    const away = rig.cutter.takeAway(700);
    const unanswered = calls.Check({});
    await t.rejects(waits, {
      code: 'ERR_TTRPC_STATUS',
      message: /was cut while this call was open; it is not known whether the agent ran it/,
    });
    await away;
    await unanswered;
    t.strictSame(Buffer.from(await calls.Do(numbered(2, 8))), numbered(2, 8));
  },
);

for (const old of ['dialler', 'listener'] as const)
  t.test(
    `with a ${old} of a time before sessions a cut is what it was, and the link is made again`,
    async t => {
      const { rig, resumed, client } = await path(t, { old });
      const calls = await client();
      await calls.Do(numbered(1, 8));
      const waits = calls.Wait(Buffer.from('x'));
      await wait(50);
      rig.cutter.cut();
      await t.rejects(waits, { code: 'ERR_TTRPC_STATUS', message: /was cut while this call was open/ });
      t.strictSame(Buffer.from(await calls.Do(numbered(2, 8))), numbered(2, 8));
      t.strictSame(resumed, []);
      t.strictSame(rig.table.counts(), { linked: 0, away: 0 });
    },
  );
