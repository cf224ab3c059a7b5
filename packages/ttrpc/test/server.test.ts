// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import type { Test } from 'tap';
import { decodeResponse, StatusError } from '../src/index.js';
import type { CallContext, Frame } from '../src/index.js';
import { runEcho } from './support/echo.js';
import type { EchoOptions, Running } from './support/echo.js';
import { RawPeer } from './support/raw-peer.js';
import { bytesOf, vectors } from './support/vectors.js';
import type { ExpectedFrame } from './support/vectors.js';

async function start(t: Test, o: EchoOptions = {}): Promise<{ running: Running; peer: RawPeer }> {
  const running = await runEcho(o);
  t.teardown(() => running.stop());
  const peer = new RawPeer(await running.connect());
  t.teardown(() => peer.socket.destroy());
  return { running, peer };
}

/** What a frame says, in the terms of the vectors. */
function seen(frame: Frame, like: ExpectedFrame | undefined): ExpectedFrame {
  const { streamId, type, flags } = frame;
  if (type !== 2) return { streamId, type, flags, payload: frame.payload.toString('hex') };
  const { status, payload } = decodeResponse(frame.payload);
  if (status === null) return { streamId, type, code: 0, payload: Buffer.from(payload).toString('hex') };
  const pattern = /^\/(.*)\/$/.exec(like?.message ?? '')?.[1];
  const matches = pattern !== undefined && new RegExp(pattern).test(status.message);
  return { streamId, type, code: status.code, message: matches ? (like?.message ?? '') : status.message };
}

for (const vector of vectors('exchanges')) {
  t.test(`${vector.name}: ${vector.outcome}, because ${vector.reason}`, async t => {
    const { peer } = await start(t);
    for (const [index, part] of vector.send.entries()) {
      const bytes = bytesOf(part);
      const isNext = index > 0 && typeof part === 'string' && typeof vector.send[index - 1] === 'string';
      if (isNext) await peer.until(() => peer.frames.length > 0);
      peer.socket.write(bytes);
    }
    await peer.until(() => peer.frames.length >= vector.expect.length);
    const left = [...vector.expect];
    const got = peer.frames.map(frame => {
      const index = left.findIndex(expected => expected.streamId === frame.streamId);
      return seen(frame, left.splice(Math.max(index, 0), 1)[0]);
    });
    const order = (a: ExpectedFrame, b: ExpectedFrame): number => a.streamId - b.streamId;
    t.strictSame(got.toSorted(order), vector.expect.toSorted(order));
    t.notOk(peer.ended, 'and the connection lives on');
  });
}

t.test('a TLS hello on a plain connection is recognised, closes it, and says so', async t => {
  const { running, peer } = await start(t);
  peer.socket.write(Buffer.from('16030100f4010000f003036e1c0d5a', 'hex'));
  const error = await running.accepted[0]?.closed;
  t.match(error, { code: 'ERR_TTRPC_PEER_SPEAKS_TLS', message: /speaks TLS/, hint: /disable TLS/ });
  t.equal(await peer.next(), null);
});

t.test('a thousand calls at once are all answered, each with its own payload', async t => {
  const gates = new Map<number, () => void>();
  const { peer } = await start(t, {
    handlers: {
      Say: async request => {
        await new Promise<void>(resolve => gates.set(Buffer.from(request).readUInt32BE(), resolve));
        return request;
      },
    },
  });
  for (let i = 0; i < 1000; i++) {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(i);
    peer.request(2 * i + 1, 'Say', payload);
  }
  // One call more, of a method that answers, tells when the thousand before it have begun.
  peer.request(3001, 'Fail');
  await peer.until(() => peer.frames.length === 1);
  t.equal(gates.size, 1000, 'all run at once');
  for (const open of [...gates.values()].toReversed()) open();
  await peer.until(() => peer.frames.length === 1001);
  let right = 0;
  for (const frame of peer.frames.slice(1)) {
    const { payload } = decodeResponse(frame.payload);
    if (Buffer.from(payload).readUInt32BE() === (frame.streamId - 1) / 2) right++;
  }
  t.equal(right, 1000);
});

t.test('whatever a handler throws becomes a status, and the server lives on', async t => {
  const refuse = Object.assign(new Error('open /x: gone'), { code: 'ENOENT' });
  const lying = new Error('x');
  Object.defineProperty(lying, 'message', {
    get() {
      throw new Error('not even the message can be read');
    },
  });
  const odd = new StatusError(7, 'odd details');
  Object.assign(odd, { details: [null, 5, { typeUrl: 6 }, { typeUrl: 'x', value: 'not bytes' }] });
  const trap = (): never => {
    throw new Error('not even the prototype can be read');
  };
  const trapped = new Proxy(new Error('x'), { getPrototypeOf: trap, get: trap, has: trap });
  const cases: { thrown: unknown; code: number; message: string | RegExp }[] = [
    { thrown: new StatusError(9, 'not now'), code: 9, message: 'not now' },
    { thrown: new StatusError(0, 'OK is no failure'), code: 2, message: 'OK is no failure' },
    { thrown: odd, code: 7, message: 'odd details' },
    {
      thrown: Object.assign(new Error('x'), { code: 'ERR_TTRPC_STATUS', status: 'seven' }),
      code: 2,
      message: 'x',
    },
    { thrown: new Error('plain'), code: 2, message: 'plain' },
    { thrown: refuse, code: 5, message: 'open /x: gone' },
    { thrown: new Error('x'.repeat(10_000)), code: 2, message: /^x{4096}…$/ },
    { thrown: 'a string', code: 13, message: /something that is not an error/ },
    { thrown: undefined, code: 13, message: /something that is not an error/ },
    { thrown: null, code: 13, message: /something that is not an error/ },
    { thrown: trapped, code: 13, message: /something that is not an error/ },
    { thrown: lying, code: 13, message: /something that is not an error/ },
  ];
  const { peer } = await start(t, {
    handlers: {
      Say: async request => {
        await Promise.resolve();
        throw cases[request[0] ?? 0]?.thrown;
      },
      Fail: request => {
        throw cases[request[0] ?? 0]?.thrown;
      },
      // eslint-disable-next-line require-yield
      async *Split(request) {
        throw cases[request[0] ?? 0]?.thrown;
      },
    },
  });
  let id = 1;
  for (const method of ['Say', 'Fail', 'Split']) {
    for (const [index, { code, message }] of cases.entries()) {
      peer.request(id, method, Buffer.of(index), method === 'Split' ? { flags: 1 } : {});
      id += 2;
      const frame = await peer.next();
      if (frame === null) throw new Error('the connection ended');
      t.equal(frame.type, 2);
      t.match(decodeResponse(frame.payload).status, { code, message }, `${method} ${index}`);
    }
  }
});

t.test('a handler that returns nothing, or nothing that can be sent, is told on', async t => {
  const results: unknown[] = [undefined, null, 'text'];
  const { peer } = await start(t, {
    handlers: {
      // @ts-expect-error what a handler in plain JavaScript could do
      Say: request => results[request[0] ?? 0],
      // @ts-expect-error likewise
      Split: () => 5,
    },
  });
  peer.request(1, 'Say', Buffer.of(0));
  peer.request(3, 'Say', Buffer.of(1));
  peer.request(5, 'Say', Buffer.of(2));
  peer.request(7, 'Split', Buffer.of(2), { flags: 1 });
  await peer.until(() => peer.frames.length === 4);
  const statuses = peer.frames
    .toSorted((a, b) => a.streamId - b.streamId)
    .map(frame => decodeResponse(frame.payload).status);
  t.match(statuses, [
    { code: 2, message: 'ttrpc: marshal called with nil' },
    { code: 2, message: 'ttrpc: marshal called with nil' },
    { code: 13, message: /unsupported response type: string/ },
    { code: 13, message: /nothing to iterate/ },
  ]);
});

t.test('only an error is taken for a status, whatever shape it has', async t => {
  const { peer } = await start(t, {
    handlers: {
      Say: () => {
        throw { code: 'ERR_TTRPC_STATUS', status: 5, message: 'a look-alike' };
      },
    },
  });
  peer.request(1, 'Say');
  const frame = await peer.next();
  t.match(decodeResponse(frame?.payload ?? Buffer.alloc(0)).status, {
    code: 13,
    message: 'the handler threw something that is not an error',
  });
});

t.test('an answer too long for a frame becomes ResourceExhausted', async t => {
  const { peer } = await start(t, { handlers: { Say: () => Buffer.alloc(4_194_304) } });
  peer.request(1, 'Say');
  const frame = await peer.next();
  t.match(decodeResponse(frame?.payload ?? Buffer.alloc(0)).status, {
    code: 8,
    message: 'message length 4194309 exceed maximum message size of 4194304',
  });
});

t.test('a handler sees service, method, metadata, deadline and peer', async t => {
  const contexts: CallContext[] = [];
  const { peer } = await start(t, {
    handlers: {
      Say: (request, context) => {
        contexts.push(context);
        return request;
      },
    },
  });
  const { encodeRequest } = await import('../src/index.js');
  const metadata = [
    { key: 'trace', value: '1' },
    { key: 'trace', value: '2' },
    { key: '__proto__', value: 'x' },
  ];
  const base = { service: 'test.Echo', method: 'Say', payload: Buffer.alloc(0), metadata };
  const before = Date.now();
  peer.send(1, 1, 0, encodeRequest({ ...base, timeoutNano: 60_000_000_000n }));
  peer.send(3, 1, 0, encodeRequest({ ...base, timeoutNano: 2n ** 63n - 1n, metadata: [] }));
  peer.request(5, 'Say');
  await peer.until(() => peer.frames.length === 3);
  const [first, second, third] = contexts;
  t.match(first, { service: 'test.Echo', method: 'Say', peer: 'the peer' });
  t.strictSame(
    [...(first?.metadata ?? [])],
    [
      ['trace', ['1', '2']],
      ['__proto__', ['x']],
    ],
  );
  const rest = (first?.deadline ?? 0) - before;
  t.ok(rest >= 60_000 && rest < 70_000, `${rest} ms until the deadline`);
  t.equal(first?.signal.aborted, false, 'an answered call is not aborted');
  t.ok((second?.deadline ?? 0) > Date.now() + 1e12, 'a deadline in centuries neither fires nor overflows');
  t.equal(third?.deadline, null);
});

t.test(
  'a deadline aborts the signal, and answers DeadlineExceeded whether the handler heeds it or not',
  async t => {
    const reasons: unknown[] = [];
    const { peer } = await start(t, {
      handlers: {
        Say: (_, { signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reasons.push(signal.reason);
              reject(new StatusError(10, 'stopped in my own words'));
            });
          }),
        Fail: (_, { signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          }),
        Join: async requests => {
          for await (const request of requests) t.fail(`no message ${String(request)} was sent`);
          return Buffer.from('end');
        },
      },
    });
    peer.request(1, 'Say', Buffer.alloc(0), { ns: 5_000_000n });
    peer.request(3, 'Fail', Buffer.alloc(0), { ns: 5_000_000n });
    peer.request(5, 'Wait', Buffer.alloc(0), { ns: 5_000_000n });
    peer.request(7, 'Join', Buffer.alloc(0), { ns: 5_000_000n, flags: 2 });
    await peer.until(() => peer.frames.length === 4);
    const statuses = peer.frames
      .toSorted((a, b) => a.streamId - b.streamId)
      .map(frame => decodeResponse(frame.payload).status);
    t.match(statuses, [
      { code: 10, message: 'stopped in my own words' },
      { code: 4, message: 'context deadline exceeded' },
      { code: 4, message: 'context deadline exceeded' },
      { code: 4, message: 'context deadline exceeded' },
    ]);
    t.match(reasons, [{ code: 'ERR_TTRPC_STATUS', status: 4 }]);
  },
);

for (const how of ['end', 'destroy'] as const) {
  t.test(
    `a connection that is lost (${how}) aborts its calls with Canceled, and those of others go on`,
    async t => {
      const started: (() => void)[] = [];
      const aborted = new Promise<unknown>(resolve => {
        started.push(() => {});
        t.teardown(() => resolve(null));
        handlersResolve = resolve;
      });
      const { running, peer } = await start(t, {
        handlers: {
          Wait: (request, { signal }) => {
            if (request.length === 0) return new Promise<never>(() => {});
            return new Promise((_resolve, reject) => {
              signal.addEventListener('abort', () => {
                handlersResolve(signal.reason);
                reject(new Error('too late for anyone'));
              });
            });
          },
        },
      });
      const other = new RawPeer(await running.connect());
      t.teardown(() => other.socket.destroy());
      peer.request(1, 'Wait', Buffer.of(1));
      peer.request(3, 'Say');
      await peer.next();
      t.equal(running.server.connections, 2);
      peer.socket[how]();
      t.match(await aborted, { code: 'ERR_TTRPC_STATUS', status: 1, message: 'context canceled' });
      other.request(1, 'Say', Buffer.from('still here'));
      t.ok(await other.next());
      await running.accepted[0]?.closed;
      t.equal(running.server.connections, 1);
    },
  );
}
let handlersResolve: (reason: unknown) => void = () => {};

t.test('drain refuses new calls, lets unary calls finish, ends streams, then closes', async t => {
  let answer = (): void => {};
  const { running, peer } = await start(t, {
    handlers: {
      Wait: () =>
        new Promise(resolve => {
          answer = () => resolve(Buffer.from('done'));
        }),
    },
  });
  const idle = new RawPeer(await running.connect());
  idle.request(1, 'Say');
  await idle.next();
  peer.request(1, 'Wait');
  peer.request(3, 'Repeat', Buffer.from('a'), { flags: 2 });
  await peer.until(() => peer.frames.length === 1);
  const drained = running.server.drain(new AbortController().signal);
  await idle.until(() => idle.ended);
  t.ok(idle.ended, 'an idle connection closes at once');
  peer.request(5, 'Say');
  await peer.until(() => peer.frames.length === 2);
  t.match(decodeResponse(peer.frames[1]?.payload ?? Buffer.alloc(0)).status, {
    code: 14,
    message: 'ttrpc: server closed',
  });
  answer();
  await drained;
  await peer.until(() => peer.ended);
  const last = peer.frames
    .slice(2)
    .map(frame => [frame.streamId, decodeResponse(frame.payload).status?.code ?? 0]);
  t.strictSame(last, [
    [1, 0],
    [3, 14],
  ]);
  t.equal(running.server.connections, 0);
  const late = new RawPeer(await running.connect());
  await late.until(() => late.ended);
  t.ok(late.ended, 'a connection accepted while draining is closed');
});

t.test('a drain that takes too long is ended by its signal', async t => {
  const { running, peer } = await start(t);
  peer.request(1, 'Wait');
  peer.request(3, 'Say');
  await peer.next();
  const controller = new AbortController();
  const drained = running.server.drain(controller.signal);
  controller.abort();
  await drained;
  t.equal(await peer.next(), null);
  await running.server.drain(AbortSignal.abort());
  t.pass('and draining again is fine');
});

t.test('mistakes of the program that registers services are thrown at once', async t => {
  const { defineService, implement, TtrpcServer } = await import('../src/index.js');
  const { bytes, echo } = await import('./support/echo.js');
  const { unary } = await import('../src/index.js');
  t.throws(() => new TtrpcServer({ services: [implement(echo, {}), implement(echo, {})] }), {
    message: 'the service test.Echo is registered twice',
  });
  const service = defineService('x.Y', { Z: unary(bytes, bytes) });
  // @ts-expect-error what a program in plain JavaScript could do
  t.throws(() => new TtrpcServer({ services: [implement(service, { Z: 5 })] }), {
    message: 'the handler of x.Y/Z is no function',
  });
});
