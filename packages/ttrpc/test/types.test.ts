// SPDX-License-Identifier: Apache-2.0
// What the compiler makes of services. The checks are made by tsc over this file; running it proves that the values
// behave as their types say.
import t from 'tap';
import {
  bidi,
  clientOf,
  clientStream,
  connectUnix,
  defineService,
  implement,
  serverStream,
  TtrpcServer,
  unary,
} from '../src/index.js';
import type { Handlers, MessageType, TypedClient } from '../src/index.js';
import { run } from './support/echo.js';

/** As protobufjs writes it: loose on the way in, complete on the way out. */
interface PointInit {
  x?: number | null;
}
interface Point {
  x: number;
}

const point: MessageType<Point, PointInit> = {
  encode: message => ({ finish: () => Buffer.of(message.x ?? 0) }),
  decode: bytes => ({ x: bytes[0] ?? 0 }),
};
const word: MessageType<string & { readonly length: number }, { text: string }> = {
  encode: message => ({ finish: () => Buffer.from(message.text) }),
  decode: bytes => Buffer.from(bytes).toString(),
};

const service = defineService('types.Test', {
  One: unary(point, word),
  Up: clientStream(point, word),
  Down: serverStream(point, word),
  Both: bidi(point, word),
});

class Implementing implements Handlers<typeof service> {
  readonly #prefix = 'got ';

  One(request: Point): { text: string } {
    return { text: this.#prefix + request.x.toFixed(0) };
  }

  async Up(requests: AsyncIterable<Point>): Promise<{ text: string }> {
    let sum = 0;
    for await (const request of requests) sum += request.x;
    return { text: String(sum) };
  }

  async *Down(request: Point): AsyncGenerator<{ text: string }> {
    for (let i = 0; i < request.x; i++) yield { text: String(i) };
  }

  async *Both(requests: AsyncIterable<Point>): AsyncGenerator<{ text: string }> {
    for await (const { x } of requests) yield { text: String(x) };
  }
}

t.test('handlers get what decoding gives, callers may send what encoding takes', async t => {
  const running = await run(new TtrpcServer({ services: [implement(service, new Implementing())] }));
  t.teardown(() => running.stop());
  const client = await connectUnix(running.path);
  t.teardown(() => client.close());
  const typed: TypedClient<typeof service> = clientOf(service, client);
  const one: string = await typed.One({});
  t.equal(one, 'got 0', 'a method of a class instance, with its private field');
  t.equal(await typed.Up([{ x: 1 }, { x: 2 }, {}]), '3');
  const down: string[] = [];
  for await (const text of typed.Down({ x: 3 })) down.push(text);
  t.strictSame(down, ['0', '1', '2']);
  const both: string[] = [];
  for await (const text of typed.Both([{ x: 7 }, { x: 8 }])) both.push(text);
  t.strictSame(both, ['7', '8']);
});

t.test('wrong handlers and wrong calls do not compile', async t => {
  // @ts-expect-error a response of another shape
  implement(service, { One: () => ({ nothing: 1 }) });
  // @ts-expect-error a method the service does not have
  implement(service, { Two: () => ({ text: '' }) });
  // @ts-expect-error a stream where one answer is wanted
  implement(service, { Up: async function* () {} });
  // @ts-expect-error one answer where a stream is wanted
  implement(service, { Down: async () => ({ text: '' }) });
  // @ts-expect-error all handlers are needed where a full set is asked for
  const partial: Handlers<typeof service> = { One: () => ({ text: '' }) };
  t.ok(partial);
  const calls = (typed: TypedClient<typeof service>): unknown[] => [
    // @ts-expect-error a field of another type
    typed.One({ x: 'one' }),
    // @ts-expect-error one message where a stream is sent
    typed.Up({ x: 1 }),
    // @ts-expect-error a method the service does not have
    typed.Two({}),
  ];
  t.type(calls, 'function');
});
