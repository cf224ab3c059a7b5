// SPDX-License-Identifier: Apache-2.0
// Rewrites inside a relay: changed, refused, delayed, failing; and the stream ids when a call is overtaken.
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import {
  decodeRequest,
  encodeFrame,
  HEADER_LENGTH,
  MAX_MESSAGE_LENGTH,
  StatusCode,
} from '@peerpod-tls/ttrpc';
import type { Rewrite, RewriteContext, RewriteOutcome } from '../../src/relay/types.js';
import { bytesOf, requestFrame, responseFrame, statusOf, type SeenFrame } from '../support/frames.js';
import { rig } from '../support/relays.js';

const service = 'test.Service';
const rewrite = (apply: Rewrite['apply'], method = 'Create'): Rewrite => ({ service, method, apply });
const create = (id: number, payload: Uint8Array = bytesOf('plain')) =>
  requestFrame(id, { method: 'Create', payload });
const messageOf = (frame: SeenFrame | undefined): string =>
  frame === undefined ? 'none' : Buffer.from(decodeRequest(frame.payload).payload).toString();

t.test('only the method with a rewrite is changed, wherever the chunks are cut', async t => {
  const up = Buffer.concat([requestFrame(1), create(3), requestFrame(5, { payload: bytesOf('same') })]);
  const expected = Buffer.concat([
    requestFrame(1),
    create(3, bytesOf('plain, rewritten')),
    requestFrame(5, { payload: bytesOf('same') }),
  ]);
  const rewrites = [
    rewrite(message => ({ t: 'replaced', message: bytesOf(`${message.toString()}, rewritten`) })),
  ];
  for (let at = 1; at < up.length; at++) {
    const { relay, downstream, upstreams } = rig(t, { rewrites });
    downstream.write(up.subarray(0, at));
    await turn();
    downstream.write(up.subarray(at));
    const upstream = await upstreams.nth(1);
    if (!(await upstream.byteCount(expected.length)).equals(expected)) t.fail(`cut at ${at}`);
    relay.close();
    await relay.closed;
  }
  t.pass(`${up.length - 1} cuts`);
});

t.test('a rewrite that changes nothing leaves every byte alone, and what it does not know', async t => {
  const strange = Buffer.concat([create(1).subarray(HEADER_LENGTH), Buffer.from('4a03616263', 'hex')]);
  const frame = encodeFrame({ streamId: 1, type: 1 }, strange);
  const { downstream, upstreams } = rig(t, { rewrites: [rewrite(() => ({ t: 'same' }))] });
  downstream.write(frame);
  t.ok((await (await upstreams.nth(1)).byteCount(frame.length)).equals(frame));
});

t.test('a refusal and a failing rewrite are answered, and nothing reaches the upstream', async t => {
  const outcomes: (() => RewriteOutcome | Promise<RewriteOutcome>)[] = [
    () => ({ t: 'refused', status: StatusCode.invalidArgument, reason: 'no OCI' }),
    () => {
      throw new Error('boom');
    },
    () => Promise.reject(new Error('later boom')),
    () => ({ t: 'replaced', message: Buffer.alloc(MAX_MESSAGE_LENGTH) }),
  ];
  const { relay, downstream, upstreams, watcher } = rig(t, {
    rewrites: [rewrite(() => outcomes.shift()?.() ?? { t: 'same' })],
  });
  downstream.write(create(1), create(3), create(5), create(7), requestFrame(9));
  const answers = await downstream.frameCount(4);
  const statuses = answers.map(f => [f.streamId, statusOf(f).code] as const).sort((a, b) => a[0] - b[0]);
  t.same(statuses, [
    [1, 3],
    [3, 13],
    [5, 13],
    [7, 8],
  ]);
  const upstream = await upstreams.nth(1);
  t.same(
    (await upstream.frameCount(1)).map(f => f.streamId),
    [9],
  );
  t.same(
    relay.inFlight().map(c => c.streamId),
    [9],
  );
  t.equal(watcher.ended.length, 4);
});

t.test(
  'a call that waits for its rewrite is overtaken; its id at the upstream rises, its answer finds the caller',
  async t => {
    let finish: (outcome: RewriteOutcome) => void = () => {};
    const contexts: RewriteContext[] = [];
    const rewrites = [
      rewrite((_message, context) => {
        contexts.push(context);
        return new Promise(resolve => (finish = resolve));
      }),
    ];
    const { relay, downstream, upstreams } = rig(t, { rewrites });
    downstream.write(requestFrame(1), create(3), requestFrame(5));
    const upstream = await upstreams.nth(1);
    t.same(
      (await upstream.frameCount(2)).map(f => f.streamId),
      [1, 5],
    );
    t.same(
      relay
        .inFlight()
        .map(c => c.streamId)
        .sort(),
      [1, 3, 5],
    );
    t.match(contexts[0], { service, method: 'Create', timeoutMs: null });
    finish({ t: 'replaced', message: bytesOf('rewritten') });
    const third = (await upstream.frameCount(3))[2];
    t.equal(third?.streamId, 7);
    t.equal(messageOf(third), 'rewritten');
    downstream.write(requestFrame(7), requestFrame(9), requestFrame(101));
    t.same(
      (await upstream.frameCount(6)).slice(3).map(f => f.streamId),
      [9, 11, 101],
      'ids go on rising, and meet again',
    );
    upstream.write(
      responseFrame(9, bytesOf('for 7')),
      responseFrame(7, bytesOf('for 3')),
      responseFrame(1),
      responseFrame(11),
      responseFrame(5),
      responseFrame(101),
    );
    t.same(
      (await downstream.frameCount(6)).map(f => f.streamId),
      [7, 3, 1, 9, 5, 101],
    );
    t.equal(relay.inFlight().length, 0);
  },
);

t.test('a delayed call is not put into the middle of a request that is under way', async t => {
  let finish: (outcome: RewriteOutcome) => void = () => {};
  const { downstream, upstreams } = rig(t, {
    rewrites: [rewrite(() => new Promise(resolve => (finish = resolve)))],
  });
  const big = requestFrame(3, { method: 'Copy', payload: Buffer.alloc(200_000, 4) });
  downstream.write(create(1), big.subarray(0, 100_000));
  const upstream = await upstreams.nth(1);
  await upstream.byteCount(100_000);
  finish({ t: 'same' });
  await turn();
  t.equal(upstream.length, 100_000);
  downstream.write(big.subarray(100_000));
  const frames = await upstream.frameCount(2);
  t.same(
    frames.map(f => [f.streamId, f.payload.length > 1_000]),
    [
      [3, true],
      [5, false],
    ],
  );
});

t.test('a delayed call outlives the upstream that was there when it came', async t => {
  let finish: (outcome: RewriteOutcome) => void = () => {};
  const { downstream, upstreams } = rig(t, {
    rewrites: [rewrite(() => new Promise(resolve => (finish = resolve)))],
  });
  downstream.write(create(1));
  const first = await upstreams.nth(1);
  await turn();
  first.stream.destroy();
  const second = await upstreams.nth(2);
  finish({ t: 'same' });
  t.same(
    (await second.frameCount(1)).map(f => f.streamId),
    [1],
  );
  second.write(responseFrame(1));
  t.same(
    (await downstream.frameCount(1)).map(f => statusOf(f).code),
    [0],
  );
});

t.test('a downstream that hangs up aborts the rewrites under way', async t => {
  let signal: AbortSignal | undefined;
  const { relay, downstream, upstreams } = rig(t, {
    rewrites: [
      rewrite((_message, context) => {
        signal = context.signal;
        return new Promise(() => {});
      }),
    ],
  });
  downstream.write(create(1));
  await upstreams.nth(1);
  await turn();
  downstream.stream.destroy();
  await relay.closed;
  t.equal(signal?.aborted, true);
});

t.test('a request whose names come last is still found by its rewrite', async t => {
  const envelope = create(1, Buffer.alloc(20_000, 6)).subarray(HEADER_LENGTH);
  const names = Buffer.from(envelope.subarray(0, envelope.indexOf(0x1a)));
  const payload = envelope.subarray(names.length);
  const turned = encodeFrame({ streamId: 1, type: 1 }, Buffer.concat([payload, names]));
  const { downstream, upstreams } = rig(t, {
    rewrites: [rewrite(() => ({ t: 'replaced', message: bytesOf('found') }))],
  });
  downstream.write(turned.subarray(0, 5_000));
  await turn();
  downstream.write(turned.subarray(5_000));
  t.equal(messageOf((await (await upstreams.nth(1)).frameCount(1))[0]), 'found');
});
