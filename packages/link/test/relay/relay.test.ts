// SPDX-License-Identifier: Apache-2.0
// What passes through a relay, what it answers itself, and how it ends.
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { encodeFrame, FrameFlag, HEADER_LENGTH, MAX_MESSAGE_LENGTH, StatusCode } from '@peerpod-tls/ttrpc';
import { WHOLE_RESPONSE_BYTES } from '../../src/relay/response-side.js';
import { Backs, bytesOf, dataFrame, requestFrame, responseFrame, statusOf } from '../support/frames.js';
import { rig } from '../support/relays.js';

t.test('requests and responses of unknown methods arrive byte for byte at every cut', async t => {
  // Field 9 of the envelope is from a future this relay does not know.
  const future = Buffer.concat([
    requestFrame(3, { payload: Buffer.alloc(300, 5) }).subarray(HEADER_LENGTH),
    Buffer.from('4a03616263', 'hex'),
  ]);
  const requests = [
    requestFrame(1, { method: 'Unheard', payload: bytesOf('x') }),
    encodeFrame({ streamId: 3, type: 1 }, future),
    requestFrame(5),
  ];
  const up = Buffer.concat(requests);
  const down = Buffer.concat([
    responseFrame(3, Buffer.alloc(200, 1)),
    responseFrame(1),
    responseFrame(5, bytesOf('y')),
  ]);
  for (let at = 1; at < up.length; at += 1) {
    const { relay, front, backs } = rig(t);
    front.write(up.subarray(0, at));
    await turn();
    front.write(up.subarray(at));
    const back = await backs.nth(1);
    if (!(await back.byteCount(up.length)).equals(up)) t.fail(`requests cut at ${at}`);
    const cut = at % down.length;
    back.write(down.subarray(0, cut));
    await turn();
    back.write(down.subarray(cut));
    if (!(await front.byteCount(down.length)).equals(down)) t.fail(`responses cut at ${cut}`);
    relay.close();
    await relay.closed;
  }
  t.pass(`${up.length - 1} cuts`);
});

t.test('streaming frames pass both ways, and the stream ends with the back', async t => {
  const { relay, front, backs, watcher } = rig(t);
  const open = requestFrame(1, { method: 'Chat', flags: FrameFlag.remoteOpen });
  front.write(
    open,
    dataFrame(1, bytesOf('a')),
    dataFrame(1, new Uint8Array(0), FrameFlag.remoteClosed | FrameFlag.noData),
  );
  const back = await backs.nth(1);
  t.same(
    (await back.frameCount(3)).map(f => [f.type, f.flags]),
    [
      [1, 2],
      [3, 0],
      [3, 5],
    ],
  );
  back.write(dataFrame(1, bytesOf('b')));
  await front.frameCount(1);
  t.equal(relay.inFlight().length, 1);
  back.write(dataFrame(1, new Uint8Array(0), FrameFlag.remoteClosed | FrameFlag.noData));
  t.same(
    (await front.frameCount(2)).map(f => f.flags),
    [0, 5],
  );
  t.equal(relay.inFlight().length, 0);
  t.same(watcher.ended, [['Chat', 0]]);
});

t.test('an oversized request is answered on its stream and skipped, and the connection lives on', async t => {
  const { front, backs, watcher } = rig(t);
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32BE(MAX_MESSAGE_LENGTH + 1, 0);
  header.writeUInt32BE(1, 4);
  header[8] = 1;
  const half = Buffer.alloc(MAX_MESSAGE_LENGTH / 2);
  front.write(header, half, half, Buffer.alloc(1), requestFrame(3));
  const back = await backs.nth(1);
  t.same(
    (await back.frameCount(1)).map(f => f.streamId),
    [3],
    'only the next call reaches the back',
  );
  const [answer] = await front.frameCount(1);
  t.equal(answer?.streamId, 1);
  t.match(answer && statusOf(answer), {
    code: StatusCode.resourceExhausted,
    message: /4194305 bytes is over the limit/u,
  });
  t.same(watcher.errors, ['an oversized frame from the calling side']);
});

t.test('stream ids that are even or were used are answered InvalidArgument', async t => {
  const { front, backs } = rig(t);
  front.write(
    requestFrame(2),
    requestFrame(5),
    requestFrame(5),
    requestFrame(3),
    dataFrame(99, bytesOf('z')),
  );
  const answers = await front.frameCount(4);
  t.same(
    answers.map(f => [f.streamId, statusOf(f).code]),
    [
      [2, 3],
      [5, 3],
      [3, 3],
      [99, 3],
    ],
  );
  const back = await backs.nth(1);
  t.same(
    (await back.frameCount(1)).map(f => f.streamId),
    [5],
  );
});

t.test('an answer nobody asked for is dropped and counted', async t => {
  const { front, backs, watcher } = rig(t);
  front.write(requestFrame(1));
  const back = await backs.nth(1);
  await back.frameCount(1);
  back.write(
    responseFrame(7, bytesOf('who?')),
    dataFrame(9, bytesOf('?')),
    encodeFrame({ streamId: 1, type: 77 }, bytesOf('new')),
  );
  back.write(responseFrame(1, bytesOf('mine')), responseFrame(1, bytesOf('twice')));
  const frames = await front.frameCount(1);
  t.same(
    frames.map(f => f.streamId),
    [1],
  );
  await turn();
  t.equal(front.frames.length, 1);
  t.same(watcher.errors, [
    'an answer nobody asked for',
    'an answer nobody asked for',
    'a frame of an unexpected type from the called side',
    'an answer nobody asked for',
  ]);
});

t.test('an oversized answer becomes a status on its stream', async t => {
  const { front, backs } = rig(t);
  front.write(requestFrame(1), requestFrame(3));
  const back = await backs.nth(1);
  await back.frameCount(2);
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32BE(MAX_MESSAGE_LENGTH + 10, 0);
  header.writeUInt32BE(1, 4);
  header[8] = 2;
  back.write(header, Buffer.alloc(MAX_MESSAGE_LENGTH + 10), responseFrame(3));
  const frames = await front.frameCount(2);
  t.same(
    frames.map(f => [f.streamId, statusOf(f).code]),
    [
      [1, 8],
      [3, 0],
    ],
  );
});

t.test('an answer of the relay waits for the end of the answer that is being written', async t => {
  const { front, backs } = rig(t);
  front.write(requestFrame(1));
  const back = await backs.nth(1);
  await back.frameCount(1);
  const big = responseFrame(1, Buffer.alloc(WHOLE_RESPONSE_BYTES * 2, 3));
  back.write(big.subarray(0, 100_000));
  await front.byteCount(100_000);
  front.write(requestFrame(2));
  await turn();
  await turn();
  t.equal(front.length, 100_000, 'nothing in the middle of a frame');
  back.write(big.subarray(100_000));
  const frames = await front.frameCount(2);
  t.same(
    frames.map(f => f.streamId),
    [1, 2],
  );
});

t.test('a front that piles up answers behind one that is under way is not read any more', async t => {
  const { front, backs } = rig(t);
  front.write(requestFrame(1));
  const back = await backs.nth(1);
  await back.frameCount(1);
  const big = responseFrame(1, Buffer.alloc(WHOLE_RESPONSE_BYTES * 2, 3));
  back.write(big.subarray(0, 100_000));
  await front.byteCount(100_000);
  const wrong = Buffer.concat(Array.from({ length: 500 }, () => requestFrame(2)));
  for (let i = 0; i < 100; i++) {
    front.write(wrong);
    await turn();
  }
  t.ok(front.stream.writableLength > wrong.length * 90, 'most of it stays with the sender');
  back.write(big.subarray(100_000));
  t.equal((await front.frameCount(1 + 500 * 100)).length, 50_001, 'and is answered once there is room');
});

t.test('a TLS hello on a plain front ends the relay and says so', async t => {
  const { relay, front, watcher } = rig(t);
  front.write(Buffer.from('16030100c8010000c40303', 'hex'));
  const reason = await relay.closed;
  t.equal(reason.why, 'front-protocol');
  t.same(watcher.errors, ['the peer speaks TLS to a plain ttrpc end']);
});

t.test('a TLS alert from the back ends the relay and says so', async t => {
  const { relay, front, backs, watcher } = rig(t);
  front.write(requestFrame(1));
  const back = await backs.nth(1);
  back.write(Buffer.from('1503010002022800000000', 'hex'));
  t.equal((await relay.closed).why, 'back-protocol');
  t.same(watcher.errors, ['the called side speaks TLS to a plain link']);
  t.same(watcher.losses, ['protocol']);
});

t.test('half a header and then the end closes both sides quietly', async t => {
  const { relay, front, backs, watcher } = rig(t);
  front.write(Buffer.from('00000001', 'hex'));
  const back = await backs.nth(1);
  front.stream.end();
  t.equal((await relay.closed).why, 'front-closed');
  await back.ended();
  t.same(watcher.errors, ['the calling side hung up inside a frame']);
});

t.test('a front that hangs up closes the back, also while calls block', async t => {
  const { relay, front, backs } = rig(t);
  front.write(requestFrame(1, { service: 'grpc.AgentService', method: 'WaitProcess' }));
  const back = await backs.nth(1);
  await back.frameCount(1);
  front.stream.destroy();
  t.equal((await relay.closed).why, 'front-closed');
  await back.ended();
});

t.test('a front that only stopped sending still gets its answers', async t => {
  const { relay, front, backs, watcher } = rig(t);
  front.write(requestFrame(1));
  front.stream.end();
  const back = await backs.nth(1);
  await back.frameCount(1);
  await back.ended();
  back.write(responseFrame(1, bytesOf('late')));
  back.stream.end();
  t.equal((await front.frameCount(1)).length, 1);
  t.equal((await relay.closed).why, 'front-closed');
  t.same(watcher.losses, [], 'the end of a link that nobody needs is no loss');
});

t.test('a front that is gone while the back is being opened aborts the opening', async t => {
  const backs = new Backs();
  let aborted = false;
  backs.gate = (_attempt, signal) =>
    new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(new Error('aborted'));
      }),
    );
  const { relay, front } = rig(t, { redial: null }, backs);
  front.write(requestFrame(1));
  await turn();
  front.stream.destroy();
  t.equal((await relay.closed).why, 'front-closed');
  t.equal(aborted, true);
});

t.test('a slow reader holds up the sender instead of filling memory', async t => {
  const { front, backs } = rig(t);
  front.write(requestFrame(1, { method: 'Sink', flags: FrameFlag.remoteOpen }));
  const back = await backs.nth(1);
  await back.frameCount(1);
  back.stream.pause();
  const piece = dataFrame(1, Buffer.alloc(256 * 1024));
  const count = (64 * 1024 * 1024) / (256 * 1024);
  let accepted = 0;
  for (let i = 0; i < count && front.stream.writableLength < 1024 * 1024; i++) {
    if (!front.stream.write(piece)) await turn();
    accepted += piece.length;
  }
  t.ok(accepted < 8 * 1024 * 1024, `${accepted} bytes were taken from the sender`);
  for (let i = Math.ceil(accepted / piece.length); i < count; i++) front.stream.write(piece);
  const before = back.length;
  back.stream.resume();
  await back.byteCount(before + count * piece.length);
  t.pass('and all of it arrives once it is read');
});

t.test('draining answers new calls, waits for open ones, and leaves the ones that block', async t => {
  const { relay, front, backs } = rig(t);
  front.write(requestFrame(1), requestFrame(3, { service: 'grpc.AgentService', method: 'WaitProcess' }));
  const back = await backs.nth(1);
  await back.frameCount(2);
  const drained = relay.drain(AbortSignal.timeout(10_000));
  front.write(requestFrame(5));
  const [refused] = await front.frameCount(1);
  t.match(refused && statusOf(refused), { code: StatusCode.unavailable, message: /shutting down/u });
  t.same(
    relay.inFlight().map(c => c.method),
    ['Do', 'WaitProcess'],
  );
  back.write(responseFrame(1));
  t.equal((await front.frameCount(2))[1]?.streamId, 1);
  await drained;
  t.equal((await relay.closed).why, 'drained');
});

t.test('a drain ends at its signal whatever is open', async t => {
  const { relay, front, backs } = rig(t);
  front.write(requestFrame(1));
  await (await backs.nth(1)).frameCount(1);
  const abort = new AbortController();
  const drained = relay.drain(abort.signal);
  abort.abort();
  await drained;
  t.equal((await relay.closed).why, 'drained');
});
