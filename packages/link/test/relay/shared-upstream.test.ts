// SPDX-License-Identifier: Apache-2.0
// One connection to the agent for many downstreams: whose answer is whose, what outlives a link, and what a downstream that
// is slow, silent or gone may cost the others.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import { FrameFlag, FrameType, StatusCode } from '@peerpod-tls/ttrpc';
import { SharedUpstream, type SharedUpstreamOptions } from '../../src/relay/shared-upstream.js';
import { STRAY_FRAMES } from '../../src/relay/strays.js';
import { QUEUE_BYTES } from '../../src/relay/patience.js';
import { MAX_CALLS } from '../../src/relay/call-table.js';
import type { Relay, RelayObserver, Rewrite, RewriteOutcome } from '../../src/relay/types.js';
import {
  bytesOf,
  dataFrame,
  Far,
  frameAt,
  framesIn,
  requestFrame,
  responseFrame,
  statusOf,
  streamPair,
  Upstreams,
} from '../support/frames.js';
import { recordingLog } from '../support/tls.js';

const agentService = 'grpc.AgentService';

/** A field of a protobuf message that holds text. */
const text = (field: number, value: string): Buffer =>
  Buffer.concat([Buffer.from([(field << 3) | 2, value.length]), bytesOf(value)]);
const processName = (container: string, exec: string): Buffer =>
  Buffer.concat([text(1, container), text(2, exec)]);

const read = (id: number, exec = 'e', method = 'ReadStdout'): Buffer =>
  requestFrame(id, { service: agentService, method, payload: processName('c', exec) });
const wait = (id: number, exec = 'e'): Buffer => read(id, exec, 'WaitProcess');

interface Shared {
  readonly shared: SharedUpstream;
  readonly agents: Upstreams;
  readonly lines: { readonly msg: string; readonly level: number }[];
  link(client?: string, o?: { observer?: RelayObserver; rewrites?: readonly Rewrite[] }): Link;
}

interface Link {
  readonly relay: Relay;
  readonly far: Far;
}

function share(t: Test, o: Partial<SharedUpstreamOptions> = {}): Shared {
  const agents = new Upstreams();
  const { log, lines } = recordingLog();
  const shared = new SharedUpstream({ open: agents.open, name: 'the agent on /run/a', log, ...o });
  const relays: Relay[] = [];
  t.teardown(async () => {
    for (const relay of relays) relay.close();
    await Promise.all(relays.map(relay => relay.closed));
    await shared.close();
  });
  return {
    shared,
    agents,
    lines,
    link(client = 'adaptor', { observer = {}, rewrites = [] } = {}) {
      const [near, far] = streamPair();
      const relay = shared.relay({ downstream: near, client, rewrites, observer, log });
      relays.push(relay);
      return { relay, far: new Far(far) };
    },
  };
}

/** Lets everything that is on its way in memory arrive. */
async function settled(): Promise<void> {
  for (let i = 0; i < 12; i++) await turn();
}

async function cut({ relay, far }: Link): Promise<void> {
  far.stream.destroy();
  await relay.closed;
}

const idsOf = (far: Far): number[] => far.frames.map(frame => frame.streamId);

t.test('the connection is made before there is any downstream, and is one for all', async t => {
  const { agents, link, shared } = share(t);
  const agent = await agents.nth(1);
  t.equal(shared.connected, true);
  const a = link();
  const b = link('another');
  a.far.write(requestFrame(1), requestFrame(3));
  await agent.frameCount(2);
  b.far.write(requestFrame(1), requestFrame(0xffff_fffd));
  await agent.frameCount(4);
  t.same(idsOf(agent), [1, 3, 5, 7], 'ids rise by two whatever the callers choose');
  agent.write(
    responseFrame(7, bytesOf('b2')),
    responseFrame(3, bytesOf('a2')),
    responseFrame(5, bytesOf('b1')),
    responseFrame(1, bytesOf('a1')),
  );
  await a.far.frameCount(2);
  await b.far.frameCount(2);
  t.same(idsOf(a.far), [3, 1]);
  t.same(idsOf(b.far), [0xffff_fffd, 1]);
  t.equal(agents.attempts, 1);
});

t.test(
  'whole frames of many senders reach the agent however they are cut, and each caller its own answers',
  async t => {
    const sizes = fc.array(fc.oneof(fc.nat(400), fc.nat(40_000)), { minLength: 1, maxLength: 6 });
    const senders = fc.array(fc.record({ sizes, piece: fc.integer({ min: 1, max: 9_000 }) }), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(senders, fc.infiniteStream(fc.nat(3)), async (all, order) => {
        const { agents, link, shared } = share(t);
        const agent = await agents.nth(1);
        const links = all.map(() => link());
        const queues = all.map(({ sizes, piece }, n) => {
          const whole = Buffer.concat(
            sizes.map((size, i) => requestFrame(2 * i + 1, { payload: Buffer.alloc(size, n) })),
          );
          const count = Math.ceil(whole.length / Math.max(piece, Math.ceil(whole.length / 40)));
          const step = Math.ceil(whole.length / count);
          return Array.from({ length: count }, (_, i) => whole.subarray(i * step, (i + 1) * step));
        });
        while (queues.some(queue => queue.length > 0)) {
          const n = (order.next().value ?? 0) % queues.length;
          const piece = queues[n]?.shift();
          if (piece !== undefined) links[n]?.far.write(piece);
          await turn();
        }
        const count = all.reduce((sum, { sizes }) => sum + sizes.length, 0);
        const seen = await agent.frameCount(count);
        t.same(
          seen.map(frame => frame.streamId),
          seen.map((_, i) => 2 * i + 1),
        );
        for (const frame of seen) agent.write(responseFrame(frame.streamId, frame.payload));
        for (const [n, { sizes }] of all.entries()) {
          const answers = (await links[n]?.far.frameCount(sizes.length)) ?? [];
          const mine = answers.every(answer => sizes[(answer.streamId - 1) / 2] !== undefined);
          const bytes = answers.reduce((sum, answer) => sum + answer.payload.length, 0);
          if (!mine || bytes < sizes.reduce((sum, size) => sum + size, 0)) return false;
          if (answers.some(a => sizes[(a.streamId - 1) / 2] !== 0 && a.payload.at(-1) !== n)) return false;
        }
        for (const { relay } of links) relay.close();
        await Promise.all(links.map(({ relay }) => relay.closed));
        await shared.close();
        return true;
      }),
      { numRuns: 25 },
    );
  },
);

t.test('half a frame holds up nobody, and nothing of it reaches the agent when its sender goes', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const a = link();
  const b = link();
  const big = requestFrame(1, { method: 'CopyFile', payload: Buffer.alloc(3_000_000, 7) });
  a.far.write(big.subarray(0, 2_000_000));
  await settled();
  t.match(a.relay.inFlight(), [{ method: 'CopyFile', streamId: 1 }]);
  b.far.write(requestFrame(1));
  t.same(
    (await agent.frameCount(1)).map(f => f.streamId),
    [1],
  );
  a.far.write(big.subarray(2_000_000), requestFrame(3));
  const frames = await agent.frameCount(3);
  t.same(
    frames.map(f => f.streamId),
    [1, 3, 5],
    'ids are given when frames are sent',
  );
  t.equal(frameAt(frames, 1).payload.length, big.length - 10);
  const before = agent.length;
  const c = link();
  c.far.write(big.subarray(0, 2_000_000));
  await settled();
  await cut(c);
  b.far.write(requestFrame(3));
  await agent.frameCount(4);
  t.equal(agent.length, before + requestFrame(3).length);
});

t.test('a frame in single bytes is put together', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const { far } = link();
  const frame = requestFrame(1, { method: 'CopyFile', payload: Buffer.alloc(3_000, 3) });
  for (const byte of frame) {
    far.write(Buffer.from([byte]));
    await turn();
  }
  await agent.frameCount(1);
  t.ok(agent.bytes.equals(frame));
});

t.test(
  'a downstream that stops inside a frame has to go; one that goes on, or is complete, stays',
  async t => {
    const { agents, lines, link } = share(t, { halfFrameMs: 60 });
    await agents.nth(1);
    const half = link();
    const quiet = link();
    const steady = link();
    quiet.far.write(requestFrame(1));
    half.far.write(requestFrame(1, { payload: Buffer.alloc(100) }).subarray(0, 5));
    const frame = requestFrame(1, { payload: Buffer.alloc(200) });
    let steadyGone = false;
    void steady.relay.closed.then(() => (steadyGone = true));
    for (let at = 0; at < 15; at++) {
      steady.far.write(frame.subarray(at, at + 1));
      await sleep(20);
    }
    t.match(await half.relay.closed, { why: 'slow-downstream', error: { message: /half a frame/ } });
    await half.far.ended();
    t.notOk(steadyGone);
    t.equal(quiet.relay.inFlight().length, 1);
    t.match(
      lines.find(line => line.msg === 'relay closed because one side was too slow for the others'),
      { level: 40 },
    );
  },
);

t.test('a stream of both ways has its id until both ends have closed it', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  link().far.write(requestFrame(1));
  await agent.frameCount(1);
  const ended: [string, number][] = [];
  const { far, relay } = link('b', {
    observer: { counter: (_service, method) => status => void ended.push([method, status]) },
  });
  far.write(requestFrame(1, { method: 'Chat', flags: FrameFlag.remoteOpen }), dataFrame(1, bytesOf('up')));
  t.same(
    (await agent.frameCount(3)).map(f => f.streamId),
    [1, 3, 3],
  );
  const close = FrameFlag.remoteClosed | FrameFlag.noData;
  agent.write(dataFrame(3, bytesOf('down')), dataFrame(3, new Uint8Array(0), close));
  t.same(
    (await far.frameCount(2)).map(f => f.streamId),
    [1, 1],
  );
  t.same(ended, [['Chat', 0]]);
  const large = dataFrame(1, Buffer.alloc(100_000, 4));
  far.write(large.subarray(0, 70_000));
  await settled();
  far.write(large.subarray(70_000), dataFrame(1, new Uint8Array(0), close));
  const seen = (await agent.frameCount(5)).slice(3);
  t.same(
    seen.map(f => [f.streamId, f.payload.length]),
    [
      [3, 100_000],
      [3, 0],
    ],
  );
  t.equal(relay.inFlight().length, 0);
  far.write(dataFrame(1, bytesOf('late')));
  t.equal(statusOf(frameAt(await far.frameCount(3), 2)).code, StatusCode.invalidArgument, 'now it is over');
});

t.test('a stream whose caller goes is closed at the agent', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const a = link();
  a.far.write(requestFrame(1, { method: 'Chat', flags: FrameFlag.remoteOpen }));
  await agent.frameCount(1);
  await cut(a);
  const end = frameAt(await agent.frameCount(2), 1);
  t.match(end, { streamId: 1, type: FrameType.data, flags: FrameFlag.remoteClosed | FrameFlag.noData });
  agent.write(dataFrame(1, bytesOf('more')), responseFrame(1));
  const b = link();
  b.far.write(requestFrame(1));
  await agent.frameCount(3);
  agent.write(responseFrame(3));
  t.same(
    (await b.far.frameCount(1)).map(f => f.streamId),
    [1],
    'and what it still says is nobody’s',
  );
});

t.test(
  'a wait outlives its link: the next link of the client takes it over, and it is not asked again',
  async t => {
    const { agents, link } = share(t);
    const agent = await agents.nth(1);
    const first = link();
    first.far.write(wait(1), requestFrame(3, { service: agentService, method: 'StartContainer' }));
    await agent.frameCount(2);
    await cut(first);
    const started: string[] = [];
    const second = link('adaptor', {
      observer: { callStarted: (_service, method) => void started.push(method) },
    });
    second.far.write(wait(7), requestFrame(9));
    t.same(
      (await agent.frameCount(3)).slice(2).map(f => f.streamId),
      [5],
      'only the new call is sent',
    );
    t.same(started, ['WaitProcess', 'Do']);
    agent.write(responseFrame(3), responseFrame(1, bytesOf('exit 3')));
    t.match(frameAt(await second.far.frameCount(1), 0), { streamId: 7 });
    t.match(frameAt(second.far.frames, 0).payload.toString(), /exit 3/);
    t.same(
      second.relay.inFlight().map(c => c.method),
      ['Do'],
    );
  },
);

t.test('what was read for a link that is gone is given to the next that reads the same', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const first = link();
  first.far.write(read(1), read(3, 'other'));
  await agent.frameCount(2);
  await cut(first);
  const chunk = responseFrame(1, Buffer.alloc(32_000, 9));
  agent.write(chunk.subarray(0, 20_000));
  await settled();
  agent.write(chunk.subarray(20_000));
  await settled();
  const stranger = link('somebody else');
  stranger.far.write(read(1));
  t.same(
    (await agent.frameCount(3)).slice(2).map(f => f.streamId),
    [5],
    'not to another client',
  );
  const second = link();
  second.far.write(read(11));
  const answer = frameAt(await second.far.frameCount(1), 0);
  t.match(answer, { streamId: 11 });
  t.ok(answer.payload.equals(chunk.subarray(10)));
  second.far.write(read(13));
  t.same(
    (await agent.frameCount(4)).slice(3).map(f => f.streamId),
    [7],
    'once, and in its turn',
  );
});

t.test(
  'an answer to a lost read goes at once to who reads the same on a newer link, dead link or not',
  async t => {
    const { agents, link } = share(t);
    const agent = await agents.nth(1);
    const dead = link();
    dead.far.write(read(1));
    await agent.frameCount(1);
    // Nobody has noticed that the first link is dead: both have it open.
    const alive = link();
    alive.far.write(read(1));
    await agent.frameCount(2);
    agent.write(responseFrame(1, bytesOf('first')));
    t.match(frameAt(await alive.far.frameCount(1), 0).payload.toString(), /first/);
    alive.far.write(read(3));
    await settled();
    await cut(dead);
    agent.write(responseFrame(3, bytesOf('second')));
    t.match(frameAt(await alive.far.frameCount(2), 1).payload.toString(), /second/);
  },
);

t.test('a caller that asks the same twice at a time has two answers', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const gone = link();
  gone.far.write(read(1));
  await agent.frameCount(1);
  const a = link();
  a.far.write(read(1));
  await agent.frameCount(2);
  await cut(gone);
  a.far.write(read(3), read(5));
  t.same(
    (await agent.frameCount(3)).map(f => f.streamId),
    [1, 3, 5],
    'one is taken over, one is sent',
  );
  agent.write(responseFrame(1), responseFrame(3), responseFrame(5));
  t.same(
    (await a.far.frameCount(3)).map(f => f.streamId).toSorted((x, y) => x - y),
    [1, 3, 5],
  );
});

t.test('a process that begins anew does not get what an earlier one of its name left', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const first = link();
  first.far.write(wait(1), wait(3, 'kept'));
  await agent.frameCount(2);
  await cut(first);
  agent.write(responseFrame(1, bytesOf('old')), responseFrame(3, bytesOf('kept')));
  await settled();
  const second = link();
  const exec = requestFrame(1, {
    service: agentService,
    method: 'ExecProcess',
    payload: processName('c', 'e'),
  });
  second.far.write(exec.subarray(0, exec.length - 3));
  await settled();
  second.far.write(exec.subarray(exec.length - 3), wait(3), wait(5, 'kept'));
  t.same(
    (await agent.frameCount(4)).slice(2).map(f => f.streamId),
    [5, 7],
  );
  t.match(frameAt(await second.far.frameCount(1), 0), { streamId: 5 });
});

t.test('answers that nobody fetches are kept up to a bound, the newest of them', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const first = link();
  const count = 100;
  for (let i = 0; i < count; i++) first.far.write(read(2 * i + 1, `e${i}`));
  await agent.frameCount(count);
  await cut(first);
  for (let i = 0; i < count; i++) agent.write(responseFrame(2 * i + 1, Buffer.alloc(60_000, i)));
  await settled();
  const second = link();
  second.far.write(read(1, 'e0'), read(3, `e${count - 1}`));
  t.same(
    (await second.far.frameCount(1)).map(f => f.streamId),
    [3],
  );
  t.equal((await agent.frameCount(count + 1)).length, count + 1, 'the oldest is asked again');
});

t.test('the end of the connection is told to every caller, and the next connection serves', async t => {
  const { agents, lines, link, shared } = share(t);
  const agent = await agents.nth(1);
  const links = [link(), link('b')];
  for (const { far } of links)
    far.write(wait(1), requestFrame(3, { payload: Buffer.alloc(100_000) }).subarray(0, 60_000));
  await agent.frameCount(2);
  agent.stream.destroy();
  for (const { far, relay } of links) {
    t.equal((await relay.closed).why, 'upstream-lost');
    await far.ended();
    t.same(
      far.frames.map(f => [f.streamId, statusOf(f).code, statusOf(f).message]),
      [
        [
          1,
          14,
          'the agent on /run/a was cut while this call was open; it is not known whether the agent ran it',
        ],
        [3, 14, 'the agent on /run/a was cut before this call was sent'],
      ],
    );
  }
  t.match(
    lines.find(line => line.msg === 'agent connection lost'),
    { level: 40 },
  );
  const later = link();
  later.far.write(wait(1));
  const next = await agents.nth(2);
  t.equal(shared.connected, true);
  t.same(
    (await next.frameCount(1)).map(f => f.streamId),
    [1],
    'with ids of its own, and nothing taken over',
  );
});

t.test('an agent that was told to end is not lost', async t => {
  const { agents, lines, link } = share(t);
  const agent = await agents.nth(1);
  const a = link();
  const b = link();
  b.far.write(wait(1));
  await agent.frameCount(1);
  a.far.write(requestFrame(1, { service: agentService, method: 'DestroySandbox' }));
  await agent.frameCount(2);
  agent.write(responseFrame(3));
  await a.far.frameCount(1);
  agent.stream.end();
  t.same([(await a.relay.closed).why, (await b.relay.closed).why], ['stopped', 'stopped']);
  t.same(
    lines.filter(line => line.level > 30),
    [],
    'and nobody is warned',
  );
  t.ok(lines.some(line => line.msg === 'agent connection ended, as it was told'));
});

t.test('a reader that stops holds the others up for a moment, and has to go beyond a bound', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const slow = link();
  const quick = link();
  slow.far.write(requestFrame(1, { method: 'Pour', flags: FrameFlag.remoteOpen }));
  await agent.frameCount(1);
  slow.far.stream.pause();
  const piece = dataFrame(1, Buffer.alloc(512 * 1024));
  let poured = 0;
  const ends: string[] = [];
  void slow.relay.closed.then(({ why }) => ends.push(why));
  quick.far.write(requestFrame(1));
  await agent.frameCount(2);
  const began = performance.now();
  // The answer to the quick one lies behind what the slow one does not read.
  for (let i = 0; i < 6; i++) agent.write(piece);
  agent.write(responseFrame(3));
  await quick.far.frameCount(1);
  t.ok(performance.now() - began < 5_000);
  t.same(ends, [], 'a few megabytes are not too much');
  for (; ends.length === 0 && poured < 3 * QUEUE_BYTES; await turn()) {
    agent.write(piece);
    poured += piece.length;
  }
  t.match(await slow.relay.closed, { why: 'slow-downstream', error: { message: /did not read \d+ bytes/ } });
  quick.far.write(requestFrame(3));
  agent.write(responseFrame(5));
  await quick.far.frameCount(2);
  t.pass('and the others go on');
});

t.test('a reader that is alone may be as slow as it likes', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const { far, relay } = link();
  far.write(requestFrame(1, { method: 'Pour', flags: FrameFlag.remoteOpen }));
  await agent.frameCount(1);
  far.stream.pause();
  const piece = dataFrame(1, Buffer.alloc(512 * 1024));
  const count = (2 * QUEUE_BYTES) / (512 * 1024);
  for (let i = 0; i < count; i++) agent.write(piece);
  await sleep(700);
  t.ok(agent.stream.writableLength > QUEUE_BYTES, 'most of it stays with the agent');
  t.equal(relay.inFlight().length, 1);
  far.stream.resume();
  await far.byteCount(count * piece.length);
  t.pass('and all of it arrives');
});

t.test('an agent that answers what nobody asked, without end, is left', async t => {
  const errors: string[] = [];
  const { agents, lines, link } = share(t, {
    observer: { protocolError: reason => void errors.push(reason) },
  });
  const agent = await agents.nth(1);
  const { far, relay } = link();
  far.write(requestFrame(1));
  await agent.frameCount(1);
  for (let i = 0; i < STRAY_FRAMES; i++) agent.write(responseFrame(9_999));
  agent.write(responseFrame(1));
  await far.frameCount(1);
  t.same(errors.length, STRAY_FRAMES, 'a thousand are counted and dropped');
  agent.write(responseFrame(9_999));
  t.equal((await relay.closed).why, 'upstream-lost');
  await agent.ended();
  t.match(
    lines.find(line => line.msg === 'agent connection lost'),
    { error: /too much that nobody asked for, at last: an answer nobody asked for/ },
  );
});

t.test('calls are bounded for one downstream and for all of them', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const links = [link('1'), link('2'), link('3')];
  const batch = (from: number, to: number): Buffer =>
    Buffer.concat(Array.from({ length: to - from }, (_, i) => requestFrame(2 * (from + i) + 1)));
  links[0]?.far.write(batch(0, MAX_CALLS + 1));
  links[1]?.far.write(batch(0, MAX_CALLS));
  const refused = frameAt((await links[0]?.far.frameCount(1)) ?? [], 0);
  t.match(statusOf(refused), { code: StatusCode.resourceExhausted, message: /8192 calls are open/ });
  t.equal(refused.streamId, 2 * MAX_CALLS + 1);
  await agent.frameCount(2 * MAX_CALLS);
  links[2]?.far.write(requestFrame(1));
  t.equal(statusOf(frameAt((await links[2]?.far.frameCount(1)) ?? [], 0)).code, StatusCode.resourceExhausted);
});

t.test('a downstream that only stopped sending still gets its answers, and the connection stays', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const { far, relay } = link();
  far.write(requestFrame(1), requestFrame(3));
  far.stream.end();
  await agent.frameCount(2);
  agent.write(responseFrame(3));
  await far.frameCount(1);
  agent.write(responseFrame(1));
  await far.frameCount(2);
  t.equal((await relay.closed).why, 'downstream-closed');
  t.notOk(agent.over);
});

t.test('a request under a slow rewrite is sent whole and under an id of its time', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  let finish: (outcome: RewriteOutcome) => void = () => {};
  const rewrites: Rewrite[] = [
    { service: 'test.Service', method: 'Create', apply: () => new Promise(resolve => (finish = resolve)) },
  ];
  const a = link('a', { rewrites });
  const b = link('b');
  a.far.write(requestFrame(1, { method: 'Create' }));
  await settled();
  const half = requestFrame(1, { payload: Buffer.alloc(90_000) });
  b.far.write(half.subarray(0, 80_000));
  await settled();
  finish({ t: 'same' });
  t.same(
    (await agent.frameCount(1)).map(f => f.streamId),
    [1],
  );
  b.far.write(half.subarray(80_000));
  await agent.frameCount(2);
  agent.write(responseFrame(3), responseFrame(1));
  await Promise.all([a.far.frameCount(1), b.far.frameCount(1)]);
  t.same([idsOf(a.far), idsOf(b.far)], [[1], [1]]);
});

t.test('a drain leaves a wait to the next link, and the others their connection', async t => {
  const { agents, link } = share(t);
  const agent = await agents.nth(1);
  const a = link();
  const b = link();
  b.far.write(requestFrame(1));
  await agent.frameCount(1);
  a.far.write(wait(1));
  await agent.frameCount(2);
  await a.relay.drain(new AbortController().signal);
  t.equal((await a.relay.closed).why, 'drained');
  agent.write(responseFrame(1));
  await b.far.frameCount(1);
  t.equal(framesIn(b.far.bytes).length, 1);
});
