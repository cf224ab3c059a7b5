// SPDX-License-Identifier: Apache-2.0
// The bounds of a relay: what it keeps, what it takes, and how long it waits. Each test fails when its bound is gone.
import { getEventListeners, once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { encodeFrame, FrameFlag, HEADER_LENGTH, MAX_MESSAGE_LENGTH } from '@peerpod-tls/ttrpc';
import { Adoption } from '../../src/relay/adoption.js';
import { CallTable, KEPT_ALL_BYTES, KEPT_CALL_BYTES } from '../../src/relay/call-table.js';
import { Downstream, type Call } from '../../src/relay/downstream.js';
import { endSoon } from '../../src/relay/end-stream.js';
import { Flow } from '../../src/relay/flow.js';
import { Gathered } from '../../src/relay/gathered.js';
import { Outlet } from '../../src/relay/outlet.js';
import { SLAB_BYTES, Slabs } from '../../src/relay/slabs.js';
import { Lifetime } from '../../src/relay/lifetime.js';
import { MAX_PLANS, MethodPlans, plansOf } from '../../src/relay/method-plans.js';
import { Patience, PATIENCE_MS } from '../../src/relay/patience.js';
import { processIn, processOf } from '../../src/relay/process-of.js';
import { startRelay } from '../../src/relay/relay.js';
import { REWRITING_BYTES } from '../../src/relay/request-side.js';
import { SharedUpstream } from '../../src/relay/shared-upstream.js';
import { STRAY_BYTES, STRAY_FRAMES } from '../../src/relay/strays.js';
import type { RewriteOutcome } from '../../src/relay/types.js';
import {
  bytesOf,
  dataFrame,
  Far,
  frameAt,
  requestFrame,
  responseFrame,
  statusOf,
  streamPair,
  Upstreams,
} from '../support/frames.js';
import { rig } from '../support/relays.js';
import { silentLog } from '../support/tls.js';

const service = 'grpc.AgentService';

t.test('requests are kept for sending again up to a bound for all of them', async t => {
  const { downstream, upstreams } = rig(t);
  const count = Math.floor(KEPT_ALL_BYTES / KEPT_CALL_BYTES) + 2;
  const payload = Buffer.alloc(KEPT_CALL_BYTES - 100, 5);
  for (let i = 0; i < count; i++)
    downstream.write(requestFrame(2 * i + 1, { service, method: 'WaitProcess', payload }));
  const first = await upstreams.nth(1);
  await first.frameCount(count);
  first.write(responseFrame(1));
  await downstream.frameCount(1);
  downstream.write(requestFrame(2 * count + 1, { service, method: 'WaitProcess', payload }));
  await first.frameCount(count + 1);
  first.stream.destroy();
  const kept = KEPT_ALL_BYTES / KEPT_CALL_BYTES;
  const second = await upstreams.nth(2);
  t.equal((await second.frameCount(kept)).length, kept, 'as many as fit, and an answered one makes room');
  const answers = (await downstream.frameCount(1 + count - kept)).slice(1);
  t.ok(answers.every(answer => statusOf(answer).code === 14));
});

t.test('what is looked up for methods is kept for so many of them', async t => {
  const plans = new MethodPlans([], {});
  for (let i = 0; i < MAX_PLANS + 50; i++) t.match(plans.of('s', `m${i}`), { service: 's', method: `m${i}` });
  t.equal(plans.count, MAX_PLANS);
  t.equal(plans.of('s', 'm1'), plans.of('s', 'm1'));
  t.not(plans.of('s', 'm999'), plans.of('s', 'm999'), 'beyond it each is looked up anew');
  const own = (): unknown => plans.of('grpc.AgentService', 'ExecProcess');
  t.equal(own(), own(), "the agent's own are kept however many were invented");
});

t.test('relays with the same rewrites and observer share what is looked up for methods', async t => {
  const [rewrites, observer] = [[], {}];
  t.equal(plansOf(rewrites, observer), plansOf(rewrites, observer));
  t.not(plansOf([], observer), plansOf(rewrites, observer));
  t.not(plansOf(rewrites, {}), plansOf(rewrites, observer));
});

t.test('a relay that ends aborts what waits for it, and whoever comes later', async t => {
  const life = new Lifetime();
  const early = life.signal;
  t.equal(life.signal, early, 'one for all');
  const why = new Error('over');
  life.end(why);
  life.end(new Error('again'));
  t.match([early.aborted, early.reason, life.over], [true, why, true]);
  const late = new Lifetime();
  late.forgetSignal();
  late.end(why);
  t.match([late.signal.aborted, late.signal.reason], [true, why]);
});

t.test('requests under slow rewrites hold their sender up beyond a bound, until some are done', async t => {
  const finish: ((outcome: RewriteOutcome) => void)[] = [];
  const { downstream, upstreams } = rig(t, {
    rewrites: [
      {
        service: 'test.Service',
        method: 'Create',
        apply: () => new Promise(resolve => finish.push(resolve)),
      },
    ],
  });
  const payload = Buffer.alloc(MAX_MESSAGE_LENGTH - 1_000);
  const count = 2 * Math.ceil(REWRITING_BYTES / payload.length);
  for (let i = 0; i < count; i++) downstream.write(requestFrame(2 * i + 1, { method: 'Create', payload }));
  for (let i = 0; i < 50; i++) await turn();
  t.ok(finish.length * payload.length > REWRITING_BYTES, `${finish.length} are under way`);
  t.ok(finish.length < count, 'and not all of them');
  for (let done = 0; done < count; done++) {
    while (finish[done] === undefined) await turn();
    finish[done]?.({ t: 'refused', status: 3, reason: 'no' });
  }
  t.equal((await downstream.frameCount(count)).length, count);
  t.equal((await upstreams.nth(1)).length, 0);
});

t.test('calls of a downstream that stopped sending have so long to end', async t => {
  const { relay, downstream, upstreams } = rig(t, { halfCloseMs: 80 });
  downstream.write(requestFrame(1));
  await (await upstreams.nth(1)).frameCount(1);
  const began = performance.now();
  downstream.stream.end();
  t.equal((await relay.closed).why, 'downstream-closed');
  t.ok(performance.now() - began >= 75, 'not at once');
});

t.test('a peer that does not read is waited for a second, then left', async t => {
  const [near, far] = streamPair();
  far.pause();
  near.write(Buffer.alloc(1_000_000));
  const began = performance.now();
  endSoon(near);
  await once(near, 'close');
  const ms = performance.now() - began;
  t.ok(ms >= 950 && ms < 20_000, `${ms} ms`);
  far.destroy();
});

t.test('frames of no meaning from the calling side are dropped, a thousand of them', async t => {
  const { relay, downstream, upstreams, watcher } = rig(t);
  const strange = encodeFrame({ streamId: 1, type: 77 }, bytesOf('?'));
  for (let i = 0; i < STRAY_FRAMES; i++) downstream.write(strange);
  downstream.write(requestFrame(1));
  await (await upstreams.nth(1)).frameCount(1);
  downstream.write(strange);
  t.match(await relay.closed, { why: 'downstream-protocol', error: { message: /nobody asked for/ } });
  t.equal(watcher.errors.length, STRAY_FRAMES + 1);
});

t.test('an oversized frame that would take a while to drop ends the connection, with an answer', async t => {
  const { relay, downstream } = rig(t);
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32BE(STRAY_BYTES + 1, 0);
  header.writeUInt32BE(1, 4);
  header[8] = 1;
  downstream.write(header);
  t.equal((await relay.closed).why, 'downstream-protocol');
  t.equal(statusOf(frameAt(downstream.frames, 0)).code, 8);
});

t.test('answers that nobody asked for end a link beyond a bound', async t => {
  const { relay, upstreams, watcher } = rig(t);
  const upstream = await upstreams.nth(1);
  for (let i = 0; i <= STRAY_FRAMES; i++) upstream.write(responseFrame(99));
  t.match(await relay.closed, { why: 'upstream-protocol' });
  t.same(watcher.losses, ['protocol']);
});

t.test('stream ids that are used up are not given again', async t => {
  const own = new CallTable(null, 0xffff_fffd);
  t.equal(own.nextId(1), 0xffff_ffff);
  t.equal(own.nextId(3), 0);
  t.equal(own.nextId(0xffff_ffff), 0);
});

t.test('a sender of the last stream id whose call is overtaken finds that ids are used up', async t => {
  let finish: (outcome: RewriteOutcome) => void = () => {};
  const rewrites = [
    {
      service: 'test.Service',
      method: 'Create',
      apply: () => new Promise<RewriteOutcome>(resolve => (finish = resolve)),
    },
  ];
  const { relay, downstream, upstreams } = rig(t, { rewrites });
  downstream.write(requestFrame(1, { method: 'Create' }), requestFrame(0xffff_ffff));
  await (await upstreams.nth(1)).frameCount(1);
  finish({ t: 'same' });
  t.match(await relay.closed, { why: 'upstream-protocol', error: { message: /used up/ } });
});

t.test('a network socket that nobody verified is closed and relayed at neither end', async t => {
  const server = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const raw = async () => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
  const unverified = await raw();
  const options = { rewrites: [], redial: null, log: silentLog };
  const { open } = new Upstreams();
  t.throws(() => startRelay({ ...options, downstream: unverified, openUpstream: open }), {
    code: 'ERR_LINK_UNVERIFIED',
  });
  t.equal(unverified.destroyed, true);
  const [near, far] = streamPair();
  const behind = await raw();
  const relay = startRelay({ ...options, downstream: near, openUpstream: async () => behind });
  t.match(await relay.closed, { why: 'upstream-lost', error: { code: 'ERR_LINK_UNVERIFIED' } });
  t.equal(behind.destroyed, true);
  await new Far(far).ended();
});

t.test(
  'a link that is lost after DestroySandbox is not redialled, on any connection of the sandbox',
  async t => {
    const agentEnd = { near: false };
    const one = rig(t, { agentEnd });
    const other = rig(t, { agentEnd });
    one.downstream.write(requestFrame(1, { service, method: 'DestroySandbox' }));
    other.downstream.write(requestFrame(1, { service, method: 'WaitProcess' }));
    const first = await one.upstreams.nth(1);
    await first.frameCount(1);
    const second = await other.upstreams.nth(1);
    await second.frameCount(1);
    first.write(responseFrame(1));
    await one.downstream.frameCount(1);
    first.stream.destroy();
    second.stream.destroy();
    for (const { relay, upstreams, watcher } of [one, other]) {
      t.equal((await relay.closed).why, 'stopped');
      t.equal(upstreams.attempts, 1);
      t.same([watcher.losses, watcher.givenUp], [[], []]);
    }
    t.equal(other.downstream.length, 0, 'a call that waits sees its connection close');
  },
);

t.test('a DestroySandbox that was refused ends nothing', async t => {
  const { downstream, upstreams, watcher } = rig(t);
  downstream.write(requestFrame(1, { service, method: 'DestroySandbox' }));
  const first = await upstreams.nth(1);
  await first.frameCount(1);
  // A status with a code, as an agent that will not refuses.
  first.write(encodeFrame({ streamId: 1, type: 2 }, Buffer.from('0a020809', 'hex')));
  await downstream.frameCount(1);
  first.stream.destroy();
  await upstreams.nth(2);
  t.same(watcher.losses, ['closed']);
});

t.test('reads are made again after a cut, and a write is not', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(
    requestFrame(1, { service, method: 'ReadStdout' }),
    requestFrame(3, { service, method: 'WriteStdin' }),
    requestFrame(5, { service, method: 'ReadStderr' }),
  );
  const first = await upstreams.nth(1);
  await first.frameCount(3);
  first.stream.destroy();
  t.same(
    (await (await upstreams.nth(2)).frameCount(2)).map(f => f.streamId),
    [1, 5],
  );
  t.same(
    (await downstream.frameCount(1)).map(f => [f.streamId, statusOf(f).code]),
    [[3, 14]],
  );
});

t.test('a stream of both ways goes on until the caller closes it, too', async t => {
  const { relay, downstream, upstreams, watcher } = rig(t);
  const close = FrameFlag.remoteClosed | FrameFlag.noData;
  downstream.write(requestFrame(1, { method: 'Chat', flags: FrameFlag.remoteOpen }));
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(1);
  upstream.write(dataFrame(1, new Uint8Array(0), close));
  await downstream.frameCount(1);
  t.equal(relay.inFlight().length, 0);
  downstream.write(dataFrame(1, bytesOf('late')), dataFrame(1, new Uint8Array(0), close));
  await upstream.frameCount(3);
  downstream.write(dataFrame(1, bytesOf('too late')));
  t.equal(statusOf(frameAt(await downstream.frameCount(2), 1)).code, 3);
  t.same(watcher.ended, [['Chat', 0]]);
});

t.test('the process a request is about is found in its first bytes, and nowhere else', async t => {
  const container = Buffer.from('0a0163', 'hex');
  const exec = Buffer.concat([container, Buffer.from('1202', 'hex'), bytesOf('e1')]);
  t.equal(processOf(container), '["c",""]');
  t.equal(processOf(exec), '["c","e1"]');
  for (const strange of ['', '0a', '0aff', '0a0563', '1201', '0b0163'])
    t.equal(processOf(Buffer.from(strange, 'hex')), '');
  const envelope = requestFrame(1, { service, method: 'ExecProcess', payload: exec }).subarray(HEADER_LENGTH);
  t.equal(processIn(envelope), '["c","e1"]');
  const long = requestFrame(1, {
    service,
    method: 'ExecProcess',
    payload: Buffer.concat([exec, Buffer.alloc(300)]),
  });
  t.equal(
    processIn(long.subarray(HEADER_LENGTH, 100)),
    '["c","e1"]',
    'in a length of two bytes, and half of it',
  );
  t.equal(processIn(exec), '');
});

t.test('kept answers grow old', async t => {
  const plans = new MethodPlans([], {});
  const plan = plans.of(service, 'ReadStdout');
  const adoption = new Adoption();
  const [near] = streamPair();
  const owner = new Downstream(near, {});
  const envelope = requestFrame(1, { service, method: 'ReadStdout' }).subarray(HEADER_LENGTH);
  const key = adoption.keyOf('client', plan, envelope);
  const call: Call = {
    plan,
    owner: null,
    downstreamId: 1,
    upstreamId: 1,
    since: 0,
    kept: null,
    key,
    streams: false,
    answered: false,
  };
  adoption.keep(call, responseFrame(1), 0);
  adoption.keep(call, responseFrame(1, bytesOf('young')), 100_000);
  t.equal(adoption.isEmpty, false);
  const adopted = adoption.adopt(key ?? '', owner, 3, 130_000);
  t.match(
    adopted.t === 'answer' ? adopted.frame.toString('latin1') : adopted.t,
    /young/,
    'the old one is dropped',
  );
  t.match(adoption.adopt(key ?? '', owner, 5, 130_000), { t: 'new' });
  t.equal(adoption.isEmpty, true);
  t.equal(
    adoption.keyOf('client', plans.of(service, 'StartContainer'), envelope),
    null,
    'what may not run twice',
  );
  t.equal(
    adoption.keyOf('client', plans.of(service, 'StatsContainer'), envelope),
    null,
    'nor what does not wait',
  );
  t.equal(adoption.keyOf('client', plan, Buffer.from('1aff', 'hex')), null, 'nor what cannot be read');
});

t.test('downstreams that do not read have a bound together', async t => {
  const [agent] = streamPair();
  const patience = new Patience(new Flow(agent));
  patience.crowd = 6;
  const piece = Buffer.alloc(14 * 1024 * 1024);
  const slow = Array.from({ length: 5 }, () => {
    const [near, far] = streamPair();
    far.pause();
    t.teardown(() => void near.destroy());
    const downstream = new Downstream(near, {});
    near.write(Buffer.alloc(0));
    near.cork();
    near.write(piece);
    return downstream;
  });
  for (const downstream of slow) t.equal(patience.hold(downstream), null);
  t.equal(agent.isPaused(), true, 'for a moment all wait');
  await sleep(PATIENCE_MS * 1.5);
  t.equal(agent.isPaused(), false);
  const [last] = slow;
  if (last === undefined) return;
  t.match(patience.hold(last), /it and others did not read/);
  for (const downstream of slow.slice(1)) patience.forget(downstream);
  t.equal(patience.hold(last), null);
  patience.stop();
});

t.test(
  'a frame that is gathered lies in slabs, whatever pieces it came in, and goes out as it was',
  async t => {
    for (const [total, piece] of [
      [20_000, 1],
      [200_000, 16_384],
      [SLAB_BYTES, SLAB_BYTES],
      [SLAB_BYTES + 1, 777],
      [4096, 4096],
      [30, 7],
    ] as const) {
      const slabs = new Slabs();
      const frame = Buffer.from(Array.from({ length: total }, (_, i) => i % 251));
      const gathered = new Gathered(null, total, slabs);
      const lent = Buffer.alloc(piece);
      for (let at = 0; at < total; at += piece) {
        const length = frame.copy(lent, 0, at, at + piece);
        gathered.add(lent, 0, length);
        // What it came in is somebody else's again at once.
        lent.fill(0xee);
      }
      t.equal(gathered.head.subarray(0, 10).compare(frame.subarray(0, 10)), 0);
      const [near, far] = streamPair();
      gathered.send(new Outlet(near));
      const seen = await new Far(far).byteCount(total);
      t.equal(seen.compare(frame), 0, `${total} bytes by ${piece}`);
    }
    const slabs = new Slabs();
    const first = slabs.take();
    slabs.give(first);
    const dropped = new Gathered(null, 100_000, slabs);
    dropped.drop();
    t.equal(slabs.take(), first, 'what is not sent gives its memory back');
  },
);

t.test('an agent that takes connections only to end them is not tried in a busy loop', async t => {
  const upstreams = new Upstreams();
  const shared = new SharedUpstream({ open: upstreams.open, name: 'the agent', log: silentLog });
  const ended = sleep(400);
  void (async () => {
    for (let n = 1; n < 1_000; n++) (await upstreams.nth(n)).stream.destroy();
  })();
  await ended;
  t.ok(upstreams.attempts >= 3 && upstreams.attempts < 12, `${upstreams.attempts} tries in 0.4 s`);
  await shared.close();
});

t.test('connections to the agent that came and went leave nothing behind', async t => {
  const upstreams = new Upstreams();
  let listeners = 0;
  upstreams.gate = async (_attempt, signal) => void (listeners = getEventListeners(signal, 'abort').length);
  const shared = new SharedUpstream({ open: upstreams.open, name: 'the agent', log: silentLog });
  for (let n = 1; n < 5; n++) (await upstreams.nth(n)).stream.destroy();
  await upstreams.nth(5);
  t.equal(listeners, 0);
  await shared.close();
});

t.test('an agent that cannot be opened at all is tried again', async t => {
  const upstreams = new Upstreams();
  upstreams.gate = async attempt => {
    if (attempt < 3) throw new Error('no');
  };
  const shared = new SharedUpstream({ open: upstreams.open, name: 'the agent', log: silentLog });
  await upstreams.nth(1);
  await turn();
  t.equal(shared.connected, true);
  await shared.close();
});
