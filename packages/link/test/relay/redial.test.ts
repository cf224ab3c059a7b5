// SPDX-License-Identifier: Apache-2.0
// What happens to open calls when the upstream is lost: sent again, answered, or ended with the downstream.
import type { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { FrameFlag, StatusCode } from '@peerpod-tls/ttrpc';
import { LinkError } from '../../src/errors.js';
import { KEPT_CALL_BYTES } from '../../src/relay/call-table.js';
import { WHOLE_RESPONSE_BYTES } from '../../src/relay/response-side.js';
import type { Far } from '../support/frames.js';
import {
  Upstreams,
  bytesOf,
  dataFrame,
  frameAt,
  requestFrame,
  responseFrame,
  statusOf,
} from '../support/frames.js';
import { rig } from '../support/relays.js';

const agent = 'grpc.AgentService';
const wait = (id: number) =>
  requestFrame(id, { service: agent, method: 'WaitProcess', payload: bytesOf(`exec ${id}`) });
const start = (id: number) =>
  requestFrame(id, { service: agent, method: 'StartContainer', payload: bytesOf(`c${id}`) });

const cut = (far: Far): void => void far.stream.destroy();

t.test(
  'calls that may run twice are sent again as they were, in order; the others are answered Unavailable',
  async t => {
    const { relay, downstream, upstreams, watcher } = rig(t, { upstreamName: 'the link to pod VM 10.0.0.7' });
    const check = requestFrame(7, { service: 'grpc.Health', method: 'Check' });
    downstream.write(wait(1), start(3), wait(5), check, requestFrame(9, { method: 'Unknown' }));
    const first = await upstreams.nth(1);
    await first.frameCount(5);
    cut(first);
    const second = await upstreams.nth(2);
    await second.frameCount(3);
    t.ok(second.bytes.equals(Buffer.concat([wait(1), wait(5), check])));
    const answers = await downstream.frameCount(2);
    t.same(
      answers.map(f => f.streamId),
      [3, 9],
    );
    for (const answer of answers) {
      t.match(statusOf(answer), {
        code: StatusCode.unavailable,
        message:
          'the link to pod VM 10.0.0.7 was cut while this call was open; it is not known whether the agent ran it',
      });
    }
    second.write(responseFrame(5, bytesOf('exit 0')), responseFrame(1, bytesOf('exit 3')), responseFrame(7));
    t.same(
      (await downstream.frameCount(5)).slice(2).map(f => f.streamId),
      [5, 1, 7],
    );
    t.same(watcher.redials, [{ replayed: 3, failed: 2 }]);
    t.same(watcher.losses, ['closed']);
    t.same(watcher.givenUp, []);
    t.equal(relay.inFlight().length, 0);
  },
);

t.test('new calls wait for the new upstream, and flow after the ones that are sent again', async t => {
  const upstreams = new Upstreams();
  let release = (): void => {};
  const held = new Promise<void>(resolve => (release = resolve));
  upstreams.gate = attempt => (attempt === 1 ? Promise.resolve() : held);
  const { downstream } = rig(t, {}, upstreams);
  downstream.write(wait(1));
  const first = await upstreams.nth(1);
  await first.frameCount(1);
  cut(first);
  await first.ended();
  downstream.write(start(3).subarray(0, 5));
  await turn();
  downstream.write(start(3).subarray(5), wait(5));
  await turn();
  release();
  const second = await upstreams.nth(2);
  await second.frameCount(3);
  t.ok(second.bytes.equals(Buffer.concat([wait(1), start(3), wait(5)])));
});

t.test(
  'a request that was cut in the middle is answered, and the rest of it does not reach the new upstream',
  async t => {
    const { downstream, upstreams } = rig(t);
    const big = requestFrame(1, { service: agent, method: 'CopyFile', payload: Buffer.alloc(1_000_000, 9) });
    downstream.write(big.subarray(0, 600_000));
    const first = await upstreams.nth(1);
    await first.byteCount(600_000);
    cut(first);
    await upstreams.nth(2);
    t.match(statusOf(frameAt(await downstream.frameCount(1), 0)), { code: StatusCode.unavailable });
    downstream.write(big.subarray(600_000), start(3));
    const second = await upstreams.nth(2);
    t.same(
      (await second.frameCount(1)).map(f => f.streamId),
      [3],
    );
    t.ok(second.bytes.equals(start(3)));
  },
);

t.test('a stream is answered Unavailable and what still comes for it is refused', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(
    requestFrame(1, { service: agent, method: 'GetMetrics', flags: FrameFlag.remoteOpen }),
    dataFrame(1, bytesOf('a')),
  );
  const first = await upstreams.nth(1);
  await first.frameCount(2);
  cut(first);
  t.equal(statusOf(frameAt(await downstream.frameCount(1), 0)).code, StatusCode.unavailable);
  const second = await upstreams.nth(2);
  downstream.write(dataFrame(1, bytesOf('b')), start(3));
  t.equal(statusOf(frameAt(await downstream.frameCount(2), 1)).code, StatusCode.invalidArgument);
  t.same(
    (await second.frameCount(1)).map(f => f.streamId),
    [3],
  );
});

t.test('a small answer that was cut in half never shows downstream; its call is sent again', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(wait(1));
  const first = await upstreams.nth(1);
  await first.frameCount(1);
  const answer = responseFrame(1, Buffer.alloc(30_000, 1));
  first.write(answer.subarray(0, 20_000));
  await turn();
  cut(first);
  const second = await upstreams.nth(2);
  await second.frameCount(1);
  t.equal(downstream.length, 0);
  second.write(answer);
  t.ok((await downstream.byteCount(answer.length)).equals(answer));
});

t.test('a large answer that was cut in half closes the downstream: its framing cannot be kept', async t => {
  const { relay, downstream, upstreams } = rig(t);
  downstream.write(wait(1));
  const first = await upstreams.nth(1);
  await first.frameCount(1);
  first.write(responseFrame(1, Buffer.alloc(WHOLE_RESPONSE_BYTES * 2)).subarray(0, WHOLE_RESPONSE_BYTES));
  await downstream.byteCount(WHOLE_RESPONSE_BYTES);
  cut(first);
  t.equal((await relay.closed).why, 'cut-response');
  await downstream.ended();
  t.equal(downstream.length, WHOLE_RESPONSE_BYTES, 'and nothing was made up to fill it');
});

t.test('a request too large to keep is not sent again', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(
    requestFrame(1, { service: agent, method: 'WaitProcess', payload: Buffer.alloc(KEPT_CALL_BYTES) }),
    wait(3),
  );
  const first = await upstreams.nth(1);
  await first.frameCount(2);
  cut(first);
  t.same(
    (await downstream.frameCount(1)).map(f => [f.streamId, statusOf(f).code]),
    [[1, 14]],
  );
  t.same(
    (await (await upstreams.nth(2)).frameCount(1)).map(f => f.streamId),
    [3],
  );
});

t.test(
  'upstreams that fail are tried again until the budget is used up; then the downstream closes without an answer',
  async t => {
    const upstreams = new Upstreams();
    upstreams.gate = async attempt => {
      if (attempt > 1) throw new LinkError('ERR_LINK_CLOSED_PORT', 'nobody listens');
    };
    const { relay, downstream, watcher } = rig(t, { redial: { budgetMs: 300 } }, upstreams);
    downstream.write(wait(1));
    const first = await upstreams.nth(1);
    await first.frameCount(1);
    cut(first);
    const reason = await relay.closed;
    t.match(reason, { why: 'upstream-lost', error: { code: 'ERR_LINK_CLOSED_PORT' } });
    t.ok(upstreams.attempts >= 3, `${upstreams.attempts} attempts`);
    t.same(watcher.givenUp, ['closed-port']);
    await downstream.ended();
    t.equal(downstream.length, 0, 'the shim must see a closed connection, not a status');
  },
);

t.test('a permanent error ends the redial at once', async t => {
  const upstreams = new Upstreams();
  upstreams.gate = async attempt => {
    if (attempt > 1) throw new LinkError('ERR_LINK_WRONG_NAME', 'not the VM we look for');
  };
  const { relay, downstream, watcher } = rig(t, {}, upstreams);
  downstream.write(wait(1));
  const first = await upstreams.nth(1);
  await first.frameCount(1);
  cut(first);
  t.match(await relay.closed, { why: 'upstream-lost', error: { code: 'ERR_LINK_WRONG_NAME' } });
  t.equal(upstreams.attempts, 2);
  t.same([watcher.losses, watcher.givenUp], [['closed'], ['refused']]);
});

t.test('a loss is counted by its cause, and a permanent one is not mended', async t => {
  const near: Duplex[] = [];
  const upstreams = new Upstreams();
  const openUpstream = async (signal: AbortSignal): Promise<Duplex> => {
    const upstream = await upstreams.open(signal);
    near.push(upstream);
    return upstream;
  };
  const { relay, downstream, watcher } = rig(t, { openUpstream }, upstreams);
  downstream.write(wait(1));
  const errors = [
    Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }),
    new LinkError('ERR_LINK_STALLED', 'silence'),
    new LinkError('ERR_LINK_EXPIRED', 'its time was over'),
    new LinkError('ERR_LINK_NOT_TLS', 'garbage'),
  ];
  for (const [at, error] of errors.entries()) {
    const upstream = await upstreams.nth(at + 1);
    await upstream.frameCount(1);
    // An answer to nobody proves the upstream, so that the next is opened at once.
    upstream.write(responseFrame(99));
    await turn();
    await turn();
    near[at]?.destroy(error);
  }
  t.match(await relay.closed, { why: 'upstream-lost', error: { code: 'ERR_LINK_NOT_TLS' } });
  t.same(watcher.losses, ['reset', 'stalled', 'expired', 'tls']);
  t.same(watcher.givenUp, ['tls']);
  t.equal(watcher.redials.length, 3);
});

t.test('an upstream that never was is no loss', async t => {
  const upstreams = new Upstreams();
  upstreams.gate = () => Promise.reject(new LinkError('ERR_LINK_PEER_REFUSED', 'not ours'));
  const { relay, watcher } = rig(t, {}, upstreams);
  t.equal((await relay.closed).why, 'upstream-lost');
  t.same([watcher.losses, watcher.givenUp], [[], []]);
});

t.test('an upstream that is lost again before it proved itself shares one budget', async t => {
  const upstreams = new Upstreams();
  const { relay, downstream } = rig(t, { redial: { budgetMs: 400 } }, upstreams);
  downstream.write(wait(1));
  void (async () => {
    for (let n = 1; n < 50; n++) cut(await upstreams.nth(n));
  })();
  t.equal((await relay.closed).why, 'upstream-lost');
  t.ok(upstreams.attempts < 12, `${upstreams.attempts} attempts, not a busy loop`);
});

t.test('a backend that hangs is given up at the end of the budget', async t => {
  const upstreams = new Upstreams();
  upstreams.gate = () => new Promise(() => {});
  const { relay, downstream } = rig(t, { redial: { budgetMs: 100 } }, upstreams);
  downstream.write(wait(1));
  t.equal((await relay.closed).why, 'upstream-lost');
  await downstream.ended();
});

t.test(
  'without redial, open calls are answered with the name of what was lost, then the downstream closes',
  async t => {
    const { relay, downstream, upstreams } = rig(t, {
      redial: null,
      upstreamName: 'the kata-agent at /run/agent.sock',
    });
    downstream.write(wait(1), start(3));
    const upstream = await upstreams.nth(1);
    await upstream.frameCount(2);
    cut(upstream);
    t.equal((await relay.closed).why, 'upstream-lost');
    await downstream.ended();
    t.same(
      downstream.frames.map(f => f.streamId),
      [1, 3],
    );
    t.match(statusOf(frameAt(downstream.frames, 0)), {
      code: 14,
      message: /^the kata-agent at \/run\/agent\.sock was cut/u,
    });
  },
);

t.test('a downstream that sends much while there is no upstream is held up', async t => {
  const upstreams = new Upstreams();
  let release = (): void => {};
  const held = new Promise<void>(resolve => (release = resolve));
  upstreams.gate = () => held;
  const { downstream } = rig(t, {}, upstreams);
  const piece = requestFrame(1, { payload: Buffer.alloc(64 * 1024) });
  let id = 1;
  const send = (): boolean => {
    const frame = Buffer.from(piece);
    frame.writeUInt32BE(id, 4);
    id += 2;
    return downstream.stream.write(frame);
  };
  for (let i = 0; i < 64; i++) {
    send();
    await turn();
  }
  t.ok(
    downstream.stream.writableLength > 3_000_000,
    `${downstream.stream.writableLength} bytes wait on the sender's side`,
  );
  release();
  t.equal((await (await upstreams.nth(1)).frameCount(64)).length, 64);
});

t.test('without redial, calls that waited for an upstream that never came are told why', async t => {
  const upstreams = new Upstreams();
  let fail = (): void => {};
  upstreams.gate = () =>
    new Promise((_resolve, reject) => (fail = () => reject(new Error('the kata-agent never came'))));
  const { relay, downstream } = rig(t, { redial: null }, upstreams);
  downstream.write(wait(1), start(3));
  await turn();
  await turn();
  fail();
  t.equal((await relay.closed).why, 'upstream-lost');
  await downstream.ended();
  t.same(
    downstream.frames.map(f => [f.streamId, statusOf(f).code, statusOf(f).message]),
    [
      [1, 14, 'the kata-agent never came'],
      [3, 14, 'the kata-agent never came'],
    ],
  );
});
