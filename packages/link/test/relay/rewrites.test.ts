// SPDX-License-Identifier: Apache-2.0
// Edits inside a relay: changed, refused, delayed, failing; and the stream ids when a call is overtaken.
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import {
  decodeRequest,
  encodeFrame,
  HEADER_LENGTH,
  MAX_MESSAGE_LENGTH,
  StatusCode,
} from '@peerpod-tls/ttrpc';
import type { Edit, EditContext, EditOutcome } from '../../src/relay/types.js';
import { bytesOf, requestFrame, responseFrame, statusOf, type SeenFrame } from '../support/frames.js';
import { rig } from '../support/relays.js';

const service = 'test.Service';
const edit = (apply: Edit['apply'], method = 'Create'): Edit => ({ service, method, apply });
const create = (id: number, payload: Uint8Array = bytesOf('plain')) =>
  requestFrame(id, { method: 'Create', payload });
const messageOf = (frame: SeenFrame | undefined): string =>
  frame === undefined ? 'none' : Buffer.from(decodeRequest(frame.payload).payload).toString();

t.test('only the method with an edit is changed, wherever the chunks are cut', async t => {
  const up = Buffer.concat([requestFrame(1), create(3), requestFrame(5, { payload: bytesOf('same') })]);
  const expected = Buffer.concat([
    requestFrame(1),
    create(3, bytesOf('plain, edited')),
    requestFrame(5, { payload: bytesOf('same') }),
  ]);
  const edits = [edit(message => ({ t: 'replaced', message: bytesOf(`${message.toString()}, edited`) }))];
  for (let at = 1; at < up.length; at++) {
    const { relay, front, backs } = rig(t, { edits });
    front.write(up.subarray(0, at));
    await turn();
    front.write(up.subarray(at));
    const back = await backs.nth(1);
    if (!(await back.byteCount(expected.length)).equals(expected)) t.fail(`cut at ${at}`);
    relay.close();
    await relay.closed;
  }
  t.pass(`${up.length - 1} cuts`);
});

t.test('an edit that changes nothing leaves every byte alone, and what it does not know', async t => {
  const strange = Buffer.concat([create(1).subarray(HEADER_LENGTH), Buffer.from('4a03616263', 'hex')]);
  const frame = encodeFrame({ streamId: 1, type: 1 }, strange);
  const { front, backs } = rig(t, { edits: [edit(() => ({ t: 'same' }))] });
  front.write(frame);
  t.ok((await (await backs.nth(1)).byteCount(frame.length)).equals(frame));
});

t.test('a refusal and a failing edit are answered, and nothing reaches the back', async t => {
  const outcomes: (() => EditOutcome | Promise<EditOutcome>)[] = [
    () => ({ t: 'refused', status: StatusCode.invalidArgument, reason: 'no OCI' }),
    () => {
      throw new Error('boom');
    },
    () => Promise.reject(new Error('later boom')),
    () => ({ t: 'replaced', message: Buffer.alloc(MAX_MESSAGE_LENGTH) }),
  ];
  const { relay, front, backs, watcher } = rig(t, {
    edits: [edit(() => outcomes.shift()?.() ?? { t: 'same' })],
  });
  front.write(create(1), create(3), create(5), create(7), requestFrame(9));
  const answers = await front.frameCount(4);
  const statuses = answers.map(f => [f.streamId, statusOf(f).code] as const).sort((a, b) => a[0] - b[0]);
  t.same(statuses, [
    [1, 3],
    [3, 13],
    [5, 13],
    [7, 8],
  ]);
  const back = await backs.nth(1);
  t.same(
    (await back.frameCount(1)).map(f => f.streamId),
    [9],
  );
  t.same(
    relay.inFlight().map(c => c.streamId),
    [9],
  );
  t.equal(watcher.ended.length, 4);
});

t.test(
  'a call that waits for its edit is overtaken; its id at the back rises, its answer finds the caller',
  async t => {
    let finish: (outcome: EditOutcome) => void = () => {};
    const contexts: EditContext[] = [];
    const edits = [
      edit((_message, context) => {
        contexts.push(context);
        return new Promise(resolve => (finish = resolve));
      }),
    ];
    const { relay, front, backs } = rig(t, { edits });
    front.write(requestFrame(1), create(3), requestFrame(5));
    const back = await backs.nth(1);
    t.same(
      (await back.frameCount(2)).map(f => f.streamId),
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
    finish({ t: 'replaced', message: bytesOf('edited') });
    const third = (await back.frameCount(3))[2];
    t.equal(third?.streamId, 7);
    t.equal(messageOf(third), 'edited');
    front.write(requestFrame(7), requestFrame(9), requestFrame(101));
    t.same(
      (await back.frameCount(6)).slice(3).map(f => f.streamId),
      [9, 11, 101],
      'ids go on rising, and meet again',
    );
    back.write(
      responseFrame(9, bytesOf('for 7')),
      responseFrame(7, bytesOf('for 3')),
      responseFrame(1),
      responseFrame(11),
      responseFrame(5),
      responseFrame(101),
    );
    t.same(
      (await front.frameCount(6)).map(f => f.streamId),
      [7, 3, 1, 9, 5, 101],
    );
    t.equal(relay.inFlight().length, 0);
  },
);

t.test('a delayed call is not put into the middle of a request that is under way', async t => {
  let finish: (outcome: EditOutcome) => void = () => {};
  const { front, backs } = rig(t, { edits: [edit(() => new Promise(resolve => (finish = resolve)))] });
  const big = requestFrame(3, { method: 'Copy', payload: Buffer.alloc(200_000, 4) });
  front.write(create(1), big.subarray(0, 100_000));
  const back = await backs.nth(1);
  await back.byteCount(100_000);
  finish({ t: 'same' });
  await turn();
  t.equal(back.length, 100_000);
  front.write(big.subarray(100_000));
  const frames = await back.frameCount(2);
  t.same(
    frames.map(f => [f.streamId, f.payload.length > 1_000]),
    [
      [3, true],
      [5, false],
    ],
  );
});

t.test('a delayed call outlives the back that was there when it came', async t => {
  let finish: (outcome: EditOutcome) => void = () => {};
  const { front, backs } = rig(t, { edits: [edit(() => new Promise(resolve => (finish = resolve)))] });
  front.write(create(1));
  const first = await backs.nth(1);
  await turn();
  first.stream.destroy();
  const second = await backs.nth(2);
  finish({ t: 'same' });
  t.same(
    (await second.frameCount(1)).map(f => f.streamId),
    [1],
  );
  second.write(responseFrame(1));
  t.same(
    (await front.frameCount(1)).map(f => statusOf(f).code),
    [0],
  );
});

t.test('a front that hangs up aborts the edits under way', async t => {
  let signal: AbortSignal | undefined;
  const { relay, front, backs } = rig(t, {
    edits: [
      edit((_message, context) => {
        signal = context.signal;
        return new Promise(() => {});
      }),
    ],
  });
  front.write(create(1));
  await backs.nth(1);
  await turn();
  front.stream.destroy();
  await relay.closed;
  t.equal(signal?.aborted, true);
});

t.test('a request whose names come last is still found by its edit', async t => {
  const envelope = create(1, Buffer.alloc(20_000, 6)).subarray(HEADER_LENGTH);
  const names = Buffer.from(envelope.subarray(0, envelope.indexOf(0x1a)));
  const payload = envelope.subarray(names.length);
  const turned = encodeFrame({ streamId: 1, type: 1 }, Buffer.concat([payload, names]));
  const { front, backs } = rig(t, { edits: [edit(() => ({ t: 'replaced', message: bytesOf('found') }))] });
  front.write(turned.subarray(0, 5_000));
  await turn();
  front.write(turned.subarray(5_000));
  t.equal(messageOf((await (await backs.nth(1)).frameCount(1))[0]), 'found');
});
