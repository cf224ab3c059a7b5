// SPDX-License-Identifier: Apache-2.0
// What one connection may cost the server, over real sockets: bytes, calls, unread streams, unread answers.
import t from 'tap';
import type { Test } from 'tap';
import { decodeResponse } from '../src/index.js';
import type { Frame } from '../src/index.js';
import { runEcho } from './support/echo.js';
import type { EchoOptions, Running } from './support/echo.js';
import { RawPeer } from './support/raw-peer.js';

async function start(t: Test, o: EchoOptions): Promise<{ running: Running; peer: RawPeer }> {
  const running = await runEcho(o);
  t.teardown(() => running.stop());
  const peer = new RawPeer(await running.connect());
  t.teardown(() => peer.socket.destroy());
  return { running, peer };
}

function statusOf(frame: Frame | null | undefined): { code: number; message: string } | null {
  return frame === null || frame === undefined ? null : decodeResponse(frame.payload).status;
}

/** Waits until the count has begun to grow and then stands still for fifty turns of the event loop. */
async function settled(count: () => number): Promise<void> {
  for (let last = 0; ; last = count()) {
    for (let i = 0; i < 50; i++) await turn();
    if (count() > 0 && count() === last) return;
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

t.test('calls beyond maxConcurrent are refused at once, and room is made by answers', async t => {
  const answers: (() => void)[] = [];
  const { peer } = await start(t, {
    maxConcurrent: 2,
    handlers: { Wait: () => new Promise(resolve => answers.push(() => resolve(Buffer.of(1)))) },
  });
  peer.request(1, 'Wait');
  peer.request(3, 'Wait');
  peer.request(5, 'Say');
  const refused = await peer.next();
  t.equal(refused?.streamId, 5);
  t.match(statusOf(refused), { code: 8, message: 'more than 2 calls at once on one connection' });
  answers[0]?.();
  t.equal((await peer.next())?.streamId, 1);
  peer.request(7, 'Say');
  t.equal(statusOf(await peer.next()), null);
});

t.test(
  'requests of calls that do not end count: over the budget the socket is not read until one ends',
  async t => {
    const answers: (() => void)[] = [];
    let begun = 0;
    const { peer } = await start(t, {
      byteBudget: 1_000_000,
      handlers: {
        Wait: () => {
          begun++;
          return new Promise(resolve => answers.push(() => resolve(Buffer.of(1))));
        },
      },
    });
    for (let id = 1; id < 40; id += 2) peer.request(id, 'Wait', Buffer.alloc(300_000));
    // 20 requests of 300 kB: four pass the budget, and what the kernel and Node buffer stays with the sender.
    while (answers.length < 4) await turn();
    for (let i = 0; i < 50; i++) await turn();
    t.equal(begun, 4);
    t.ok(peer.socket.writableLength > 4_000_000, `${peer.socket.writableLength} bytes wait at the sender`);
    for (let i = 0; i < 20; i++) {
      while (answers[i] === undefined) await turn();
      answers[i]?.();
    }
    await peer.until(() => peer.frames.length === 20);
    t.equal(begun, 20, 'all are served in the end');
  },
);

t.test('a stream that nobody reads does not hold up others, below the budget', async t => {
  const { peer } = await start(t, { byteBudget: 4_000_000 });
  peer.request(1, 'Hold', Buffer.alloc(0), { flags: 2 });
  for (let i = 0; i < 10; i++) peer.send(1, 3, 0, Buffer.alloc(100_000));
  peer.request(3, 'Say', Buffer.from('me too'));
  const frame = await peer.next();
  t.equal(frame?.streamId, 3);
});

t.test('a stream that nobody reads and that fills the budget is ended, and others go on', async t => {
  const warned: unknown[] = [];
  const { peer } = await start(t, {
    byteBudget: 500_000,
    stallMs: 20,
    log: { debug: () => {}, warn: (fields, message) => warned.push({ ...fields, message }) },
  });
  peer.request(1, 'Hold', Buffer.alloc(0), { flags: 2 });
  for (let i = 0; i < 10; i++) peer.send(1, 3, 0, Buffer.alloc(100_000));
  peer.request(3, 'Say', Buffer.from('me too'));
  const ended = await peer.next();
  t.equal(ended?.streamId, 1);
  t.match(statusOf(ended), { code: 8, message: /was not read and held up its connection/ });
  await peer.until(() => peer.frames.some(frame => frame.streamId === 3));
  const rest = peer.frames.filter(frame => frame.streamId === 1).slice(1);
  t.ok(rest.every(frame => statusOf(frame)?.message === 'StreamID is no longer active'));
  t.match(warned, [{ message: 'unread stream ended', service: 'test.Echo', method: 'Hold' }]);
});

t.test('a stream that is read slowly is not ended, however long it takes in all', async t => {
  const { peer } = await start(t, {
    byteBudget: 200_000,
    stallMs: 100,
    handlers: {
      Join: async requests => {
        let bytes = 0;
        for await (const request of requests) {
          bytes += request.length;
          await new Promise(resolve => setTimeout(resolve, 10));
        }
        return Buffer.from(String(bytes));
      },
    },
  });
  peer.request(1, 'Join', Buffer.alloc(0), { flags: 2 });
  for (let i = 0; i < 30; i++) peer.send(1, 3, 0, Buffer.alloc(100_000));
  peer.send(1, 3, 5);
  const frame = await peer.next();
  t.equal(Buffer.from(decodeResponse(frame?.payload ?? Buffer.alloc(0)).payload).toString(), '3000000');
});

t.test('a peer that asks and does not read the answers is not asked for more requests', async t => {
  let served = 0;
  const { running, peer } = await start(t, {
    byteBudget: 1_000_000,
    stallMs: 10,
    handlers: {
      Say: () => {
        served++;
        return Buffer.alloc(100_000);
      },
    },
  });
  peer.socket.pause();
  for (let id = 1; id < 1200; id += 2) peer.request(id, 'Say', Buffer.alloc(100));
  await settled(() => served);
  t.ok(served < 150, `${served} of 600 calls of 100 kB were served to a peer that does not read`);
  const other = new RawPeer(await running.connect());
  t.teardown(() => other.socket.destroy());
  other.request(1, 'Say');
  t.ok(await other.next(), 'other connections are served');
  peer.socket.resume();
  await peer.until(() => peer.frames.length === 600);
  t.equal(served, 601, 'and all are, once it reads');
});

t.test('a stream of answers waits for a peer that does not read', async t => {
  let produced = 0;
  const { peer } = await start(t, {
    handlers: {
      async *Split() {
        for (; produced < 200; produced++) yield Buffer.alloc(100_000);
      },
    },
  });
  peer.socket.pause();
  peer.request(1, 'Split', Buffer.alloc(0), { flags: 1 });
  await settled(() => produced);
  t.ok(produced < 50, `${produced} of 200 messages were produced ahead`);
  peer.socket.resume();
  await peer.until(() => peer.frames.length === 201);
  t.equal(produced, 200);
});

t.test('eight thousand refusals to a peer that does not read take no more than the budget', async t => {
  const { running, peer } = await start(t, { byteBudget: 100_000 });
  peer.socket.pause();
  for (let i = 0; i < 8000; i++) peer.send(2, 1);
  for (let i = 0; i < 200; i++) await turn();
  const other = new RawPeer(await running.connect());
  t.teardown(() => other.socket.destroy());
  other.request(1, 'Say');
  t.ok(await other.next());
  peer.socket.resume();
  await peer.until(() => peer.frames.length === 8000);
  t.equal(peer.frames.length, 8000);
});
