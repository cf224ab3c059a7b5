// SPDX-License-Identifier: Apache-2.0
// What passes through a relay, what it answers itself, and how it ends.
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { encodeFrame, FrameFlag, HEADER_LENGTH, MAX_MESSAGE_LENGTH, StatusCode } from '@peerpod-tls/ttrpc';
import { WHOLE_RESPONSE_BYTES } from '../../src/relay/response-side.js';
import { Upstreams, bytesOf, dataFrame, requestFrame, responseFrame, statusOf } from '../support/frames.js';
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
    const { relay, downstream, upstreams } = rig(t);
    downstream.write(up.subarray(0, at));
    await turn();
    downstream.write(up.subarray(at));
    const upstream = await upstreams.nth(1);
    if (!(await upstream.byteCount(up.length)).equals(up)) t.fail(`requests cut at ${at}`);
    const cut = at % down.length;
    upstream.write(down.subarray(0, cut));
    await turn();
    upstream.write(down.subarray(cut));
    if (!(await downstream.byteCount(down.length)).equals(down)) t.fail(`responses cut at ${cut}`);
    relay.close();
    await relay.closed;
  }
  t.pass(`${up.length - 1} cuts`);
});

t.test('streaming frames pass both ways, and the stream ends with the upstream', async t => {
  const { relay, downstream, upstreams, watcher } = rig(t);
  const open = requestFrame(1, { method: 'Chat', flags: FrameFlag.remoteOpen });
  downstream.write(
    open,
    dataFrame(1, bytesOf('a')),
    dataFrame(1, new Uint8Array(0), FrameFlag.remoteClosed | FrameFlag.noData),
  );
  const upstream = await upstreams.nth(1);
  t.same(
    (await upstream.frameCount(3)).map(f => [f.type, f.flags]),
    [
      [1, 2],
      [3, 0],
      [3, 5],
    ],
  );
  upstream.write(dataFrame(1, bytesOf('b')));
  await downstream.frameCount(1);
  t.equal(relay.inFlight().length, 1);
  upstream.write(dataFrame(1, new Uint8Array(0), FrameFlag.remoteClosed | FrameFlag.noData));
  t.same(
    (await downstream.frameCount(2)).map(f => f.flags),
    [0, 5],
  );
  t.equal(relay.inFlight().length, 0);
  t.same(watcher.ended, [['Chat', 0]]);
});

t.test('an oversized request is answered on its stream and skipped, and the connection lives on', async t => {
  const { downstream, upstreams, watcher } = rig(t);
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32BE(MAX_MESSAGE_LENGTH + 1, 0);
  header.writeUInt32BE(1, 4);
  header[8] = 1;
  const half = Buffer.alloc(MAX_MESSAGE_LENGTH / 2);
  downstream.write(header, half, half, Buffer.alloc(1), requestFrame(3));
  const upstream = await upstreams.nth(1);
  t.same(
    (await upstream.frameCount(1)).map(f => f.streamId),
    [3],
    'only the next call reaches the upstream',
  );
  const [answer] = await downstream.frameCount(1);
  t.equal(answer?.streamId, 1);
  t.match(answer && statusOf(answer), {
    code: StatusCode.resourceExhausted,
    message: /4194305 bytes is over the limit/u,
  });
  t.same(watcher.errors, ['an oversized frame from the calling side']);
});

t.test('stream ids that are even or were used are answered InvalidArgument', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(
    requestFrame(2),
    requestFrame(5),
    requestFrame(5),
    requestFrame(3),
    dataFrame(99, bytesOf('z')),
  );
  const answers = await downstream.frameCount(4);
  t.same(
    answers.map(f => [f.streamId, statusOf(f).code]),
    [
      [2, 3],
      [5, 3],
      [3, 3],
      [99, 3],
    ],
  );
  const upstream = await upstreams.nth(1);
  t.same(
    (await upstream.frameCount(1)).map(f => f.streamId),
    [5],
  );
});

t.test('an answer nobody asked for is dropped and counted', async t => {
  const { downstream, upstreams, watcher } = rig(t);
  downstream.write(requestFrame(1));
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(1);
  upstream.write(
    responseFrame(7, bytesOf('who?')),
    dataFrame(9, bytesOf('?')),
    encodeFrame({ streamId: 1, type: 77 }, bytesOf('new')),
  );
  upstream.write(responseFrame(1, bytesOf('mine')), responseFrame(1, bytesOf('twice')));
  const frames = await downstream.frameCount(1);
  t.same(
    frames.map(f => f.streamId),
    [1],
  );
  await turn();
  t.equal(downstream.frames.length, 1);
  t.same(watcher.errors, [
    'an answer nobody asked for',
    'an answer nobody asked for',
    'a frame of an unexpected type from the called side',
    'an answer nobody asked for',
  ]);
});

t.test('an oversized answer becomes a status on its stream', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(requestFrame(1), requestFrame(3));
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(2);
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32BE(MAX_MESSAGE_LENGTH + 10, 0);
  header.writeUInt32BE(1, 4);
  header[8] = 2;
  upstream.write(header, Buffer.alloc(MAX_MESSAGE_LENGTH + 10), responseFrame(3));
  const frames = await downstream.frameCount(2);
  t.same(
    frames.map(f => [f.streamId, statusOf(f).code]),
    [
      [1, 8],
      [3, 0],
    ],
  );
});

t.test('an answer of the relay waits for the end of the answer that is being written', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(requestFrame(1));
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(1);
  const big = responseFrame(1, Buffer.alloc(WHOLE_RESPONSE_BYTES * 2, 3));
  upstream.write(big.subarray(0, 100_000));
  await downstream.byteCount(100_000);
  downstream.write(requestFrame(2));
  await turn();
  await turn();
  t.equal(downstream.length, 100_000, 'nothing in the middle of a frame');
  upstream.write(big.subarray(100_000));
  const frames = await downstream.frameCount(2);
  t.same(
    frames.map(f => f.streamId),
    [1, 2],
  );
});

t.test('a downstream that piles up answers behind one that is under way is not read any more', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(requestFrame(1));
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(1);
  const big = responseFrame(1, Buffer.alloc(WHOLE_RESPONSE_BYTES * 2, 3));
  upstream.write(big.subarray(0, 100_000));
  await downstream.byteCount(100_000);
  const wrong = Buffer.concat(Array.from({ length: 500 }, () => requestFrame(2)));
  for (let i = 0; i < 100; i++) {
    downstream.write(wrong);
    await turn();
  }
  t.ok(downstream.stream.writableLength > wrong.length * 90, 'most of it stays with the sender');
  upstream.write(big.subarray(100_000));
  t.equal((await downstream.frameCount(1 + 500 * 100)).length, 50_001, 'and is answered once there is room');
});

t.test('a TLS hello on a plain downstream ends the relay and says so', async t => {
  const { relay, downstream, watcher } = rig(t);
  downstream.write(Buffer.from('16030100c8010000c40303', 'hex'));
  const reason = await relay.closed;
  t.equal(reason.why, 'downstream-protocol');
  t.same(watcher.errors, ['the peer speaks TLS to a plain ttrpc end']);
});

t.test('a TLS alert from the upstream ends the relay and says so', async t => {
  const { relay, downstream, upstreams, watcher } = rig(t);
  downstream.write(requestFrame(1));
  const upstream = await upstreams.nth(1);
  upstream.write(Buffer.from('1503010002022800000000', 'hex'));
  t.equal((await relay.closed).why, 'upstream-protocol');
  t.same(watcher.errors, ['the called side speaks TLS to a plain link']);
  t.same(watcher.losses, ['protocol']);
});

t.test('half a header and then the end closes both sides quietly', async t => {
  const { relay, downstream, upstreams, watcher } = rig(t);
  downstream.write(Buffer.from('00000001', 'hex'));
  const upstream = await upstreams.nth(1);
  downstream.stream.end();
  t.equal((await relay.closed).why, 'downstream-closed');
  await upstream.ended();
  t.same(watcher.errors, ['the calling side hung up inside a frame']);
});

t.test('a downstream that hangs up closes the upstream, also while calls block', async t => {
  const { relay, downstream, upstreams } = rig(t);
  downstream.write(requestFrame(1, { service: 'grpc.AgentService', method: 'WaitProcess' }));
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(1);
  downstream.stream.destroy();
  t.equal((await relay.closed).why, 'downstream-closed');
  await upstream.ended();
});

t.test('a downstream that only stopped sending still gets its answers', async t => {
  const { relay, downstream, upstreams, watcher } = rig(t);
  downstream.write(requestFrame(1));
  downstream.stream.end();
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(1);
  await upstream.ended();
  upstream.write(responseFrame(1, bytesOf('late')));
  upstream.stream.end();
  t.equal((await downstream.frameCount(1)).length, 1);
  t.equal((await relay.closed).why, 'downstream-closed');
  t.same(watcher.losses, [], 'the end of a link that nobody needs is no loss');
});

t.test('a downstream that is gone while the upstream is being opened aborts the opening', async t => {
  const upstreams = new Upstreams();
  let aborted = false;
  upstreams.gate = (_attempt, signal) =>
    new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(new Error('aborted'));
      }),
    );
  const { relay, downstream } = rig(t, { redial: null }, upstreams);
  downstream.write(requestFrame(1));
  await turn();
  downstream.stream.destroy();
  t.equal((await relay.closed).why, 'downstream-closed');
  t.equal(aborted, true);
});

t.test('a slow reader holds up the sender instead of filling memory', async t => {
  const { downstream, upstreams } = rig(t);
  downstream.write(requestFrame(1, { method: 'Sink', flags: FrameFlag.remoteOpen }));
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(1);
  upstream.stream.pause();
  const piece = dataFrame(1, Buffer.alloc(256 * 1024));
  const count = (64 * 1024 * 1024) / (256 * 1024);
  let accepted = 0;
  for (let i = 0; i < count && downstream.stream.writableLength < 1024 * 1024; i++) {
    if (!downstream.stream.write(piece)) await turn();
    accepted += piece.length;
  }
  t.ok(accepted < 8 * 1024 * 1024, `${accepted} bytes were taken from the sender`);
  for (let i = Math.ceil(accepted / piece.length); i < count; i++) downstream.stream.write(piece);
  const before = upstream.length;
  upstream.stream.resume();
  await upstream.byteCount(before + count * piece.length);
  t.pass('and all of it arrives once it is read');
});

t.test('draining answers new calls, waits for open ones, and leaves the ones that block', async t => {
  const { relay, downstream, upstreams } = rig(t);
  downstream.write(requestFrame(1), requestFrame(3, { service: 'grpc.AgentService', method: 'WaitProcess' }));
  const upstream = await upstreams.nth(1);
  await upstream.frameCount(2);
  const drained = relay.drain(AbortSignal.timeout(10_000));
  downstream.write(requestFrame(5));
  const [refused] = await downstream.frameCount(1);
  t.match(refused && statusOf(refused), { code: StatusCode.unavailable, message: /shutting down/u });
  t.same(
    relay.inFlight().map(c => c.method),
    ['Do', 'WaitProcess'],
  );
  upstream.write(responseFrame(1));
  t.equal((await downstream.frameCount(2))[1]?.streamId, 1);
  await drained;
  t.equal((await relay.closed).why, 'drained');
});

t.test('a drain ends at its signal whatever is open', async t => {
  const { relay, downstream, upstreams } = rig(t);
  downstream.write(requestFrame(1));
  await (await upstreams.nth(1)).frameCount(1);
  const abort = new AbortController();
  const drained = relay.drain(abort.signal);
  abort.abort();
  await drained;
  t.equal((await relay.closed).why, 'drained');
});
