// SPDX-License-Identifier: Apache-2.0
// The whole path with nothing made up: a ttrpc client on a Unix socket, a relay, mutual TLS, a relay, a Unix socket, a
// ttrpc server. And random traffic through it against a model.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { clientOf, defineService, implement, TtrpcClient, TtrpcServer, unary } from '@peerpod-tls/ttrpc';
import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import type { VerifiedPeer } from '../src/tls/verify-peer.js';
import { startRelay } from '../src/relay/relay.js';
import type { Relay, RelayOptions } from '../src/relay/types.js';
import { echoService, healthyAgent } from './support/agents.js';
import {
  Upstreams,
  bytesOf,
  Far,
  framesIn,
  frameAt,
  requestFrame,
  responseFrame,
  statusOf,
  unixServer,
} from './support/frames.js';
import { rig } from './support/relays.js';
import { dial, listen, makeWorld, silentLog } from './support/tls.js';

const world = await makeWorld();

async function first<T>(list: readonly T[]): Promise<T> {
  for (;;) {
    const [found] = list;
    if (found !== undefined) return found;
    await new Promise(setImmediate);
  }
}

interface Path {
  /** A new connection of a shim. */
  readonly shim: () => Promise<Socket>;
  /** Cuts every TLS link that is open, without a word. */
  readonly cut: () => void;
  readonly links: () => number;
}

async function path(t: Test, openAgent: RelayOptions['openUpstream']): Promise<Path> {
  const peers = new Set<VerifiedPeer>();
  const relays: Relay[] = [];
  let links = 0;
  const listener = await listen(world, {
    onPeer: downstream => {
      links++;
      peers.add(downstream);
      downstream.socket.once('close', () => peers.delete(downstream));
      relays.push(
        startRelay({ downstream, openUpstream: openAgent, rewrites: [], redial: null, log: silentLog }),
      );
    },
  });
  const { port } = listener.address();
  const unix = await unixServer(downstream => {
    const openUpstream = (signal: AbortSignal): Promise<VerifiedPeer> => dial(world, port, { signal });
    relays.push(
      startRelay({ downstream, openUpstream, rewrites: [], redial: { budgetMs: 5_000 }, log: silentLog }),
    );
  });
  t.teardown(async () => {
    for (const relay of relays) relay.close();
    await Promise.all(relays.map(relay => relay.closed));
    await unix.close();
    await listener.close();
  });
  const cut = (): void => {
    for (const peer of peers) peer.socket.destroy();
  };
  return { shim: unix.connect, cut, links: () => links };
}

t.test('messages of every size come back as they were sent, many at a time', async t => {
  const { shim } = await path(t, (await healthyAgent(t)).open);
  const client = new TtrpcClient(await shim());
  t.teardown(() => client.close());
  const echo = clientOf(echoService, client);
  const sizes = [0, 1, 100, 16_000, 16_384, 40_000, 65_536, 70_000, 1_000_000, 4_000_000];
  const calls = Array.from({ length: 60 }, (_, i) => Buffer.alloc(sizes[i % sizes.length] ?? 0, i));
  const answers = await Promise.all(calls.map(message => echo.Echo(message)));
  t.ok(answers.every((answer, i) => calls[i]?.equals(answer) === true));
});

t.test(
  'a cut of the network goes unnoticed by a call that may run twice, and the next call works',
  async t => {
    const bytes = { encode: (m: Uint8Array) => ({ finish: () => m }), decode: (b: Uint8Array) => b };
    const service = defineService('grpc.AgentService', {
      WaitProcess: unary(bytes, bytes),
      StartContainer: unary(bytes, bytes),
      RemoveContainer: unary(bytes, bytes),
    });
    let exit: () => void = () => {};
    const exited = new Promise<void>(resolve => (exit = resolve));
    let waits = 0;
    let started: () => void = () => {};
    const server = new TtrpcServer({
      services: [
        implement(service, {
          WaitProcess: async () => {
            if (++waits === 2) exit();
            await exited;
            return bytesOf('exit 3');
          },
          StartContainer: () => {
            started();
            return new Promise(() => {});
          },
          RemoveContainer: () => bytesOf('removed'),
        }),
      ],
    });
    const agent = await unixServer(socket => void server.serve(socket));
    t.teardown(async () => {
      server.destroy();
      await agent.close();
    });
    const { shim, cut, links } = await path(t, agent.connect);
    const client = new TtrpcClient(await shim());
    t.teardown(() => client.close());
    const calls = clientOf(service, client);
    const wait = calls.WaitProcess(bytesOf('p'));
    const running = new Promise<void>(resolve => (started = resolve));
    const start = calls.StartContainer(bytesOf('c')).catch((error: unknown) => error);
    await running;
    cut();
    t.match(await start, {
      code: 'ERR_TTRPC_STATUS',
      status: 14,
      message: /was cut while this call was open/u,
    });
    t.equal(Buffer.from(await wait).toString(), 'exit 3');
    t.equal(Buffer.from(await calls.RemoveContainer(bytesOf('c'))).toString(), 'removed');
    t.equal(waits, 2);
    t.equal(links(), 2, 'one link more, the same shim connection');
  },
);

t.test('a shim that leaves takes its link and its agent connection with it', async t => {
  const agentSides: Socket[] = [];
  const agent = await unixServer(socket => void agentSides.push(socket));
  t.teardown(() => agent.close());
  const { shim } = await path(t, agent.connect);
  const socket = await shim();
  socket.write(requestFrame(1, { service: 'grpc.AgentService', method: 'GetOOMEvent' }));
  const agentSide = await first(agentSides);
  agentSide.resume();
  socket.destroy();
  await once(agentSide, 'end');
  t.pass('the agent sees the end, so nothing goes on waiting for nobody');
});

t.test('sixty-four megabytes to a reader that stopped stay with the sender', async t => {
  const agentSides: Socket[] = [];
  const agent = await unixServer(socket => void agentSides.push(socket.pause()));
  t.teardown(() => agent.close());
  const { shim } = await path(t, agent.connect);
  const socket = await shim();
  const frame = requestFrame(1, { method: 'Sink', payload: Buffer.alloc(1_000_000) });
  const before = process.memoryUsage().rss;
  let sent = 0;
  for (let id = 1; id < 130; id += 2) {
    const next = Buffer.from(frame);
    next.writeUInt32BE(id, 4);
    socket.write(next);
    sent += next.length;
  }
  const queued = socket.writableLength;
  const agentSide = await first(agentSides);
  let last = -1;
  while (socket.writableLength !== last) {
    last = socket.writableLength;
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  t.ok(last > queued * 0.85, `${sent - last} of ${sent} bytes left the sender`);
  t.ok(process.memoryUsage().rss - before < 160 * 1024 * 1024, 'twice the sender’s own queue at most');
  const far = new Far(agentSide.resume());
  t.equal((await far.byteCount(sent)).length, sent);
});

t.test('any traffic in any chunks, with losses in between, keeps every promise of the relay', async t => {
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('call' as const), replay: fc.boolean(), size: fc.nat(3_000) }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('answer' as const),
        which: fc.nat(50),
        size: fc.oneof(fc.nat(300), fc.nat(90_000)),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('stray' as const), id: fc.integer({ min: 1_001, max: 2_001 }) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 40 }),
      fc.integer({ min: 1, max: 5_000 }),
      async (actions, piece) => {
        const { relay, downstream, upstreams } = rig(t, {}, new Upstreams());
        const open = new Map<number, boolean>();
        const expected = new Map<number, Buffer | 'unavailable'>();
        let nth = 1;
        let upstream = await upstreams.nth(nth);
        let id = 1;
        let sentToBack = 0;
        const send = (far: Far, bytes: Buffer): void => {
          for (let at = 0; at < bytes.length; at += piece) far.write(bytes.subarray(at, at + piece));
        };
        for (const step of actions) {
          if (step.do === 'call') {
            const method = step.replay ? { service: 'grpc.AgentService', method: 'WaitProcess' } : {};
            send(downstream, requestFrame(id, { ...method, payload: Buffer.alloc(step.size, id) }));
            open.set(id, step.replay);
            id += 2;
            await upstream.frameCount(++sentToBack);
          } else if (step.do === 'answer' && open.size > 0) {
            const stream = [...open.keys()][step.which % open.size] ?? 1;
            const answer = responseFrame(stream, Buffer.alloc(step.size, stream));
            open.delete(stream);
            expected.set(stream, answer);
            send(upstream, answer);
            await downstream.frameCount(expected.size);
          } else if (step.do === 'stray') {
            send(upstream, responseFrame(step.id));
          } else if (step.do === 'cut') {
            upstream.stream.destroy();
            for (const [stream, replay] of open) if (!replay) expected.set(stream, 'unavailable');
            for (const [stream, replay] of open) if (!replay) open.delete(stream);
            upstream = await upstreams.nth(++nth);
            sentToBack = open.size;
            const again = await upstream.frameCount(sentToBack);
            if (again.map(f => f.streamId).join() !== [...open.keys()].join()) return false;
          }
        }
        const frames = await downstream.frameCount(expected.size);
        relay.close();
        await relay.closed;
        if (frames.length !== expected.size || framesIn(downstream.bytes).length !== expected.size)
          return false;
        return [...expected].every(([stream, answer]) => {
          const index = frames.findIndex(f => f.streamId === stream);
          const frame = frameAt(frames, index);
          return answer === 'unavailable'
            ? statusOf(frame).code === 14
            : answer.subarray(10).equals(frame.payload);
        });
      },
    ),
    { numRuns: 60 },
  );
  t.pass();
});
