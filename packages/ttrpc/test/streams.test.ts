// SPDX-License-Identifier: Apache-2.0
// The three kinds of streams between our client and our server, over real sockets.
import t from 'tap';
import type { Test } from 'tap';
import { clientOf, connectUnix, StatusError } from '../src/index.js';
import type { TtrpcClient, TypedClient } from '../src/index.js';
import { echo, runEcho } from './support/echo.js';
import type { EchoOptions, Running } from './support/echo.js';

interface Started {
  running: Running;
  client: TtrpcClient;
  typed: TypedClient<typeof echo>;
}

async function start(t: Test, o: EchoOptions = {}): Promise<Started> {
  const running = await runEcho(o);
  t.teardown(() => running.stop());
  const client = await connectUnix(running.path);
  t.teardown(() => client.close());
  return { running, client, typed: clientOf(echo, client) };
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const none = Buffer.alloc(0);

async function all(messages: AsyncIterable<Uint8Array>): Promise<string[]> {
  const result: string[] = [];
  for await (const message of messages) result.push(text(message));
  return result;
}

t.test('a client stream sends an iterable and gets one answer', async t => {
  const { typed, client } = await start(t);
  t.equal(text(await typed.Join([Buffer.from('a'), none, Buffer.from('b')])), 'ab');
  t.equal(text(await typed.Join([])), '', 'also of nothing');
  t.equal(
    text(
      await typed.Join(
        (async function* () {
          for (let i = 0; i < 3; i++) {
            await new Promise(resolve => setImmediate(resolve));
            yield Buffer.from(String(i));
          }
        })(),
      ),
    ),
    '012',
  );
  t.equal(client.openCalls, 0);
});

t.test('a server stream gives its messages in order, empty ones among them', async t => {
  const { typed, client } = await start(t, {
    handlers: {
      async *Split() {
        yield Buffer.from('a');
        yield none;
        yield Buffer.from('b');
      },
    },
  });
  t.strictSame(await all(typed.Split(none)), ['a', '', 'b']);
  t.equal(client.openCalls, 0);
});

t.test('a bidirectional stream goes back and forth', async t => {
  const { client } = await start(t);
  const stream = client.stream('test.Echo', 'Repeat', { kind: 'bidi' });
  const messages = stream[Symbol.asyncIterator]();
  for (const word of ['one', '', 'three']) {
    await stream.send(Buffer.from(word));
    const answer = await messages.next();
    t.equal(answer.done === true ? null : text(answer.value), word);
  }
  await stream.closeSend();
  await stream.closeSend();
  t.strictSame(await messages.next(), { done: true, value: undefined });
  await t.rejects(stream.send(none), { code: 'ERR_TTRPC_STREAM_CLOSED', message: 'ttrpc: stream closed' });
  t.equal(client.openCalls, 0);
});

t.test('large streams in both directions at once pass through a small budget', async t => {
  const running = await runEcho({ byteBudget: 300_000 });
  t.teardown(() => running.stop());
  const client = await connectUnix(running.path, { byteBudget: 300_000 });
  t.teardown(() => client.close());
  const typed = clientOf(echo, client);
  const messages = Array.from({ length: 200 }, (_, i) => Buffer.alloc(50_000, i));
  let index = 0;
  for await (const message of typed.Repeat(messages)) {
    if (!messages[index]?.equals(message)) t.fail(`message ${index} differs`);
    index++;
  }
  t.equal(index, 200);
});

t.test('a failing handler ends the stream with its status, after what it had sent', async t => {
  const { typed, client } = await start(t, {
    handlers: {
      async *Split() {
        yield Buffer.from('before');
        throw new StatusError(15, 'the disk is gone');
      },
      async *Repeat(requests) {
        for await (const request of requests) throw new StatusError(3, `not ${text(request)}`);
        yield none;
      },
      Join: async () => {
        throw new StatusError(3, 'nothing wanted');
      },
    },
  });
  const got: string[] = [];
  await t.rejects(
    async () => {
      for await (const message of typed.Split(none)) got.push(text(message));
    },
    { code: 'ERR_TTRPC_STATUS', message: 'the disk is gone' },
  );
  t.strictSame(got, ['before']);
  await t.rejects(all(typed.Repeat([Buffer.from('this')])), { message: 'not this' });
  await t.rejects(typed.Join([none]), { message: 'nothing wanted' });
  t.equal(text(await typed.Say(Buffer.from('alive'))), 'alive');
  t.equal(client.openCalls, 0);
});

t.test(
  'an error of the iterable that is sent comes out of the call, and ends the stream at the server',
  async t => {
    let ended = (): void => {};
    const serverEnded = new Promise<void>(resolve => {
      ended = resolve;
    });
    const { typed } = await start(t, {
      handlers: {
        Join: async requests => {
          for await (const request of requests) t.equal(text(request), 'a');
          ended();
          return none;
        },
      },
    });
    const broken = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('a');
      throw new Error('the file could not be read');
    };
    await t.rejects(typed.Join(broken()), { message: 'the file could not be read' });
    await serverEnded;
  },
);

t.test('leaving the loop gives the stream up; the rest is ignored and nothing stays', async t => {
  const { typed, client } = await start(t, {
    handlers: {
      async *Split() {
        for (let i = 0; i < 1000; i++) yield Buffer.from(String(i));
      },
    },
  });
  for await (const message of typed.Split(none)) {
    if (text(message) === '3') break;
  }
  t.equal(client.openCalls, 0);
  t.equal(text(await typed.Say(Buffer.from('alive'))), 'alive');
});

t.test('giving up a stream that sends tells the server that nothing more comes', async t => {
  let read = (_messages: string[]): void => {};
  const seen = new Promise<string[]>(resolve => {
    read = resolve;
  });
  const { client } = await start(t, {
    handlers: {
      async *Repeat(requests) {
        read(await all(requests));
        yield none;
      },
    },
  });
  const stream = client.stream('test.Echo', 'Repeat', { kind: 'bidi' });
  await stream.send(Buffer.from('only'));
  stream.cancel();
  stream.cancel();
  t.strictSame(await seen, ['only']);
  await t.rejects(all(stream), {
    code: 'ERR_TTRPC_STATUS',
    message: 'test.Echo/Repeat was canceled by its caller',
  });
});

t.test('deadline and signal end streams of every kind', async t => {
  const { typed, client } = await start(t, {
    handlers: {
      async *Split(_, { signal }) {
        yield Buffer.from('first');
        await new Promise(resolve => signal.addEventListener('abort', resolve));
      },
    },
  });
  await t.rejects(all(typed.Split(none, { timeoutMs: 20 })), { message: /was not answered within 20 ms/ });
  await t.rejects(typed.Hold([none], { timeoutMs: 20 }), { message: /was not answered within 20 ms/ });
  const controller = new AbortController();
  const waiting = all(typed.Repeat([none], { signal: controller.signal }));
  const refused = t.rejects(waiting, { message: /was canceled by its caller/ });
  controller.abort();
  await refused;
  await t.rejects(all(typed.Split(none, { signal: AbortSignal.abort() })), { message: /canceled/ });
  t.equal(client.openCalls, 0);
});

t.test('a stream that ends before all is sent stops the sending', async t => {
  const { typed } = await start(t, { handlers: { Join: () => Buffer.from('enough') } });
  let produced = 0;
  const endless = async function* (): AsyncGenerator<Buffer> {
    for (;;) {
      produced++;
      yield Buffer.from('more');
      await new Promise(resolve => setImmediate(resolve));
    }
  };
  t.equal(text(await typed.Join(endless())), 'enough');
  const until = produced + 1;
  for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve));
  t.ok(produced <= until, `${produced} produced, ${until} allowed`);
});

t.test('a lost connection ends the streams of both ends', async t => {
  let lost = (_error: unknown): void => {};
  const serverSaw = new Promise<unknown>(resolve => {
    lost = resolve;
  });
  const { client } = await start(t, {
    handlers: {
      async *Repeat(requests) {
        yield Buffer.from('begun');
        try {
          await all(requests);
        } catch (error) {
          lost(error);
        }
      },
    },
  });
  const stream = client.stream('test.Echo', 'Repeat', { kind: 'bidi' });
  const messages = stream[Symbol.asyncIterator]();
  t.match(await messages.next(), { done: false });
  client.close();
  await t.rejects(messages.next(), { code: 'ERR_TTRPC_CLOSED', message: 'ttrpc: closed' });
  t.match(await serverSaw, { code: 'ERR_TTRPC_STATUS', status: 1 });
});

t.test('a message as long as a frame takes passes a stream', async t => {
  const { typed } = await start(t, {
    handlers: {
      async *Split() {
        yield Buffer.alloc(4_194_304);
      },
    },
  });
  t.same(
    (await all(typed.Split(none))).map(({ length }) => length),
    [4_194_304],
  );
});

t.test('a message too long for a frame is refused and the stream goes on', async t => {
  const { client } = await start(t);
  const stream = client.stream('test.Echo', 'Join', { kind: 'client-stream' });
  await t.rejects(stream.send(Buffer.alloc(4_194_305)), { code: 'ERR_TTRPC_OVERSIZE' });
  await stream.send(Buffer.from('fits'));
  await stream.closeSend();
  t.equal(text(await stream.result()), 'fits');
});
