// SPDX-License-Identifier: Apache-2.0
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { clientOf, connectUnix, decodeRequest, encodeResponse, StatusError } from '../src/index.js';
import type { TtrpcClient } from '../src/index.js';
import { echo, runEcho } from './support/echo.js';
import type { EchoOptions, Running } from './support/echo.js';
import { RawPeer } from './support/raw-peer.js';

async function start(t: Test, o: EchoOptions = {}): Promise<{ running: Running; client: TtrpcClient }> {
  const running = await runEcho(o);
  t.teardown(() => running.stop());
  const client = await connectUnix(running.path);
  t.teardown(() => client.close());
  return { running, client };
}

/** A client whose server is the test itself. */
async function startRaw(t: Test): Promise<{ client: TtrpcClient; peer: RawPeer }> {
  const accepted: ((socket: Socket) => void)[] = [];
  const listener = createServer(socket => accepted.shift()?.(socket));
  const directory = mkdtempSync(join(tmpdir(), 'ttrpc-'));
  await new Promise<void>(resolve => {
    listener.listen(`${directory}/s`, resolve);
  });
  const socket = new Promise<Socket>(resolve => accepted.push(resolve));
  const client = await connectUnix(`${directory}/s`);
  const peer = new RawPeer(await socket);
  t.teardown(() => {
    client.close();
    peer.socket.destroy();
    listener.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { client, peer };
}

const none = Buffer.alloc(0);
const ok = (text: string): Buffer => encodeResponse({ status: null, payload: Buffer.from(text) });

t.test('a thousand calls at once get their own answers, in whatever order they come', async t => {
  const { client, peer } = await startRaw(t);
  const calls = Array.from({ length: 1000 }, (_, i) => client.call('s', 'm', Buffer.from(String(i))));
  await peer.until(() => peer.frames.length === 1000);
  const ids = peer.frames.map(frame => frame.streamId);
  t.strictSame(
    ids,
    Array.from({ length: 1000 }, (_, i) => 2 * i + 1),
    'ids are odd and rise',
  );
  for (const frame of peer.frames.toReversed()) {
    const { payload } = decodeRequest(frame.payload);
    peer.send(frame.streamId, 2, 0, ok(`answer ${Buffer.from(payload).toString()}`));
  }
  const answers = await Promise.all(calls);
  t.ok(answers.every((answer, i) => Buffer.from(answer).toString() === `answer ${i}`));
  t.equal(client.openCalls, 0);
});

t.test('a status is thrown with code, text and details', async t => {
  const { client } = await start(t, {
    handlers: {
      Fail: () => {
        throw new StatusError(5, 'no such sandbox', { details: [{ typeUrl: 'x/Y', value: Buffer.of(1) }] });
      },
    },
  });
  await t.rejects(client.call('test.Echo', 'Fail', none), {
    code: 'ERR_TTRPC_STATUS',
    status: 5,
    message: 'no such sandbox',
    details: [{ typeUrl: 'x/Y' }],
  });
  await t.rejects(client.call('test.Echo', 'Nope', none), { status: 12, message: 'method Nope' });
  t.equal(Buffer.from(await client.call('test.Echo', 'Say', Buffer.from('alive'))).toString(), 'alive');
});

t.test('a timeout travels with the request and is kept by the client itself', async t => {
  const { client, peer } = await startRaw(t);
  const call = client.call('s', 'm', none, { timeoutMs: 20.5, metadata: { k: 'v' } });
  const frame = await peer.next();
  t.match(decodeRequest(frame?.payload ?? none), {
    timeoutNano: 20_500_000n,
    metadata: [{ key: 'k', value: 'v' }],
  });
  await t.rejects(call, {
    code: 'ERR_TTRPC_STATUS',
    status: 4,
    message: 's/m was not answered within 20.5 ms',
  });
  peer.send(1, 2, 0, ok('late'));
  const next = client.call('s', 'm', none, { timeoutMs: Infinity });
  t.equal(decodeRequest((await peer.next())?.payload ?? none).timeoutNano, 0n, 'Infinity is no deadline');
  peer.send(3, 2, 0, ok('in time'));
  t.equal(Buffer.from(await next).toString(), 'in time', 'a late answer disturbs nobody');
  await t.rejects(client.call('s', 'm', none, { timeoutMs: 0 }), {
    code: 'ERR_TTRPC_STATUS',
    message: /within 0 ms/,
  });
  await t.rejects(client.call('s', 'm', none, { timeoutMs: -1 }), {
    code: 'ERR_TTRPC_STATUS',
    message: /within -1 ms/,
  });
  await t.rejects(client.call('s', 'm', none, { timeoutMs: NaN }), {
    name: 'RangeError',
    message: /timeoutMs is NaN/,
  });
  const long = client.call('s', 'm', none, { timeoutMs: Number.MAX_VALUE });
  t.equal(
    decodeRequest((await peer.next())?.payload ?? none).timeoutNano,
    2n ** 63n - 1n,
    'the longest there is',
  );
  peer.send(5, 2, 0, ok(''));
  await long;
});

t.test('an aborted signal ends a call with Canceled and its reason, before or after it was sent', async t => {
  const { client, peer } = await startRaw(t);
  const controller = new AbortController();
  const call = client.call('s', 'm', none, { signal: controller.signal });
  await peer.next();
  const why = new Error('the shim left');
  controller.abort(why);
  await t.rejects(call, { status: 1, message: 's/m was canceled by its caller', cause: why });
  await t.rejects(client.call('s', 'm', none, { signal: controller.signal }), {
    message: /canceled by its caller/,
  });
  const second = client.call('s', 'm', none);
  t.equal((await peer.next())?.streamId, 3, 'the call that never began took no id');
  peer.send(3, 2);
  await second;
  t.equal(client.openCalls, 0);
});

t.test('a signal used for many calls keeps no listener of those that ended', async t => {
  const { client } = await start(t);
  const { signal } = new AbortController();
  for (let i = 0; i < 20; i++) await client.call('test.Echo', 'Say', none, { signal });
  t.equal(getEventListeners(signal, 'abort').length, 0);
});

for (const how of ['end', 'destroy', 'reset'] as const) {
  t.test(
    `when the server goes (${how}), every pending call gets ttrpc: closed, and so does every later one`,
    async t => {
      const { client, peer } = await startRaw(t);
      const calls = [client.call('s', 'a', none), client.call('s', 'b', none), client.call('s', 'c', none)];
      const stream = client.stream('s', 'd', { kind: 'bidi' });
      await peer.until(() => peer.frames.length === 4);
      if (how === 'end') peer.socket.end();
      else peer.socket.destroy(how === 'reset' ? new Error('reset') : undefined);
      for (const result of await Promise.allSettled(calls)) {
        t.match(result, {
          status: 'rejected',
          reason: { code: 'ERR_TTRPC_CLOSED', message: /^ttrpc: closed$/ },
        });
      }
      await t.rejects(stream.result(), { code: 'ERR_TTRPC_CLOSED' });
      await t.rejects(stream.send(none), { code: 'ERR_TTRPC_CLOSED' });
      t.equal(await client.closed, undefined);
      await t.rejects(client.call('s', 'm', none), { code: 'ERR_TTRPC_CLOSED', message: 'ttrpc: closed' });
      await t.rejects(client.stream('s', 'm', { kind: 'client-stream' }).result(), {
        code: 'ERR_TTRPC_CLOSED',
      });
    },
  );
}

t.test('close ends open calls and resolves closed', async t => {
  const { client } = await start(t);
  const call = client.call('test.Echo', 'Wait', none);
  client.close();
  client.close();
  await t.rejects(call, { code: 'ERR_TTRPC_CLOSED' });
  t.equal(await client.closed, undefined);
});

t.test('a server that answers with TLS is named', async t => {
  for (const hex of ['15030300020246', '160303007a0200007603038fbb']) {
    const { client, peer } = await startRaw(t);
    const call = client.call('s', 'm', none);
    peer.socket.write(Buffer.from(hex, 'hex'));
    await t.rejects(call, { code: 'ERR_TTRPC_PEER_SPEAKS_TLS' });
    t.match(await client.closed, { code: 'ERR_TTRPC_PEER_SPEAKS_TLS' });
  }
});

t.test('frames nobody asked for are survived', async t => {
  const { client, peer } = await startRaw(t);
  const call = client.call('s', 'm', none);
  await peer.next();
  peer.send(7, 2, 0, ok('nobody asked'));
  peer.send(2, 2, 0, ok('even'));
  peer.send(0, 3, 0, ok('zero'));
  peer.send(9, 3, 1, none);
  peer.send(1, 1, 0, Buffer.from('a request to a client'));
  peer.send(1, 99, 0, Buffer.from('the future'));
  peer.send(1, 2, 0, ok('mine'));
  peer.send(1, 2, 0, ok('again'));
  t.equal(Buffer.from(await call).toString(), 'mine');
  const next = client.call('s', 'm', none);
  await peer.next();
  peer.send(3, 2, 0, ok('fine'));
  t.equal(Buffer.from(await next).toString(), 'fine');
});

t.test('an answer that is wrong ends its call only', async t => {
  const { client, peer } = await startRaw(t);
  const calls = ['undecodable', 'data', 'oversized', 'fine'].map(method => client.call('s', method, none));
  await peer.until(() => peer.frames.length === 4);
  peer.send(1, 2, 0, Buffer.from('ffffff', 'hex'));
  peer.send(3, 3, 0, Buffer.from('data'));
  peer.socket.write(Buffer.from('00400001000000050200', 'hex'));
  peer.socket.write(Buffer.alloc(4_194_305));
  peer.send(7, 2, 0, ok('fine'));
  const results = await Promise.allSettled(calls);
  t.match(results, [
    { reason: { code: 'ERR_TTRPC_BAD_RESPONSE' } },
    { reason: { code: 'ERR_TTRPC_PROTOCOL', message: /stream data in answer to s\/data/ } },
    { reason: { code: 'ERR_TTRPC_STATUS', status: 8, message: /4194305 exceed/ } },
    { status: 'fulfilled' },
  ]);
});

t.test('a request too long for a frame is refused before it is sent', async t => {
  const { client, peer } = await startRaw(t);
  await t.rejects(client.call('s', 'm', Buffer.alloc(4_194_304)), {
    code: 'ERR_TTRPC_OVERSIZE',
    message: 'message length 4194315 exceed maximum message size of 4194304',
  });
  const call = client.call('s', 'm', Buffer.alloc(4_194_304 - 11));
  const frame = await peer.next();
  t.equal(frame?.streamId, 1);
  t.equal(frame?.length, 4_194_304);
  peer.send(1, 2);
  await call;
});

t.test(
  'while the server does not read, requests wait unsent, in order, and can still be given up',
  async t => {
    const { client, peer } = await startRaw(t);
    peer.socket.pause();
    const calls = Array.from({ length: 50 }, (_, i) => client.call('s', String(i), Buffer.alloc(100_000)));
    const controller = new AbortController();
    const given = client.call('s', 'given up', none, { signal: controller.signal });
    const stream = client.stream('s', 'stream', { kind: 'client-stream' });
    const sent = stream.send(Buffer.from('data'));
    t.equal(client.openCalls, 52);
    controller.abort();
    await t.rejects(given, { message: 's/given up was canceled by its caller' });
    peer.socket.resume();
    await sent;
    await stream.closeSend();
    await peer.until(() => peer.frames.length === 53);
    const requests = peer.frames.filter(frame => frame.type === 1);
    t.strictSame(
      requests.map(frame => decodeRequest(frame.payload).method),
      [...Array.from({ length: 50 }, (_, i) => String(i)), 'stream'],
    );
    t.strictSame(
      requests.map(frame => frame.streamId),
      Array.from({ length: 51 }, (_, i) => 2 * i + 1),
      'ids rise without a gap where a call was given up',
    );
    t.strictSame(
      peer.frames.slice(-2).map(({ streamId, type, flags }) => ({ streamId, type, flags })),
      [
        { streamId: 101, type: 3, flags: 0 },
        { streamId: 101, type: 3, flags: 5 },
      ],
      'data stay behind their request',
    );
    for (const { streamId } of requests) peer.send(streamId, 2);
    await Promise.all(calls);
  },
);

t.test('calls whose server does not read, and that end there, leave nothing behind', async t => {
  const { client, peer } = await startRaw(t);
  peer.socket.pause();
  const calls = Array.from({ length: 20 }, () => client.call('s', 'm', Buffer.alloc(100_000)));
  client.close();
  for (const result of await Promise.allSettled(calls))
    t.match(result, { reason: { code: 'ERR_TTRPC_CLOSED' } });
  t.equal(client.openCalls, 0);
});

t.test('typed calls give what the handler gave', async t => {
  const { client } = await start(t);
  const typed = clientOf(echo, client);
  t.equal(Buffer.from(await typed.Say(Buffer.from('hello'), { timeoutMs: 5000 })).toString(), 'hello');
  await t.rejects(typed.Fail(none), { status: 2, message: 'the handler gave up' });
  t.strictSame(Object.keys(typed), Object.keys(echo.methods));
});
