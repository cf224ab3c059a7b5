// SPDX-License-Identifier: Apache-2.0
// Our client against containerd's Go server, its Go client against our server, and the vectors against both servers.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  bidi,
  clientOf,
  clientStream,
  connectUnix,
  decodeResponse,
  defineService,
  implement,
  serverStream,
  StatusError,
  TtrpcServer,
  unary,
} from '../../src/index.js';
import type { Handlers, MessageType } from '../../src/index.js';
import { run } from '../support/echo.js';
import { buildGo } from '../support/go.js';
import { RawPeer } from '../support/raw-peer.js';
import { bytesOf, vectors } from '../support/vectors.js';

/** google.protobuf.StringValue: one string in field 1. */
const text: MessageType<string & { toString(): string }, { value: string }> = {
  encode: ({ value }) => ({
    finish() {
      const bytes = Buffer.from(value);
      const length: number[] = [];
      let rest = bytes.length;
      for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
      return bytes.length === 0 ? bytes : Buffer.concat([Buffer.of(0x0a, ...length, rest), bytes]);
    },
  }),
  decode: bytes => {
    if (bytes.length === 0) return '';
    let at = 1;
    while ((bytes[at] ?? 0) >= 128) at++;
    return Buffer.from(bytes.subarray(at + 1)).toString();
  },
};

const service = defineService('interop.Test', {
  Say: unary(text, text),
  Fail: unary(text, text),
  Plain: unary(text, text),
  Wait: unary(text, text),
  Deadline: unary(text, text),
  Metadata: unary(text, text),
  Join: clientStream(text, text),
  Split: serverStream(text, text),
  Repeat: bidi(text, text),
});

const handlers: Handlers<typeof service> = {
  Say: value => ({ value }),
  Fail: () => {
    throw new StatusError(5, 'no such thing');
  },
  Plain: () => {
    throw new Error('a plain error');
  },
  Wait: () => new Promise<never>(() => {}),
  Deadline: (_, { deadline }) => ({
    value: deadline === null ? 'none' : String(Math.round(deadline - Date.now())),
  }),
  Metadata: (_, { metadata }) => ({ value: (metadata.get('trace') ?? []).join(',') }),
  async Join(values) {
    let joined = '';
    for await (const value of values) joined += value;
    return { value: joined };
  },
  async *Split(value) {
    for (const initial of value) {
      if (initial === '!') throw new StatusError(11, 'no further');
      yield { value: initial };
    }
  },
  async *Repeat(values) {
    for await (const value of values) yield { value };
  },
};

const go = buildGo();
if ('reason' in go) {
  t.test("Go's ttrpc", { skip: go.reason }, async () => {});
} else {
  const { program } = go;
  t.teardown(() => go.remove());

  t.test("Go's client is served by our server as by its own", async t => {
    const running = await run(new TtrpcServer({ services: [implement(service, handlers)] }));
    t.teardown(() => running.stop());
    const { lines, status } = await output(program, ['client', running.path]);
    for (const line of lines) {
      if (line.startsWith('ok ')) t.pass(line.slice(3));
      else t.fail(line);
    }
    t.equal(status, 0);
    t.ok(lines.length >= 18, `${lines.length} checks were run`);
  });

  t.test("our client is served by Go's server as by our own", async t => {
    const { path, stop } = await goServer(program);
    t.teardown(stop);
    const client = await connectUnix(path);
    t.teardown(() => client.close());
    const typed = clientOf(service, client);
    const long = 'x'.repeat(4_000_000);
    t.equal(await typed.Say({ value: 'hello' }), 'hello');
    t.equal(await typed.Say({ value: '' }), '');
    t.ok((await typed.Say({ value: long })) === long, 'a message of 4 MB');
    await t.rejects(typed.Fail({ value: '' }), {
      code: 'ERR_TTRPC_STATUS',
      message: 'no such thing',
      status: 5,
    });
    await t.rejects(typed.Plain({ value: '' }), { code: 'ERR_TTRPC_STATUS', message: 'a plain error' });
    await t.rejects(client.call('interop.Test', 'Nope', Buffer.alloc(0)), { message: 'method Nope' });
    await t.rejects(client.call('no.Such', 'Say', Buffer.alloc(0)), { message: 'service no.Such' });
    const left = Number(await typed.Deadline({ value: '' }, { timeoutMs: 60_000 }));
    t.ok(left > 50_000 && left <= 60_000, `${left} ms left at the server`);
    t.equal(await typed.Deadline({ value: '' }), 'none');
    await t.rejects(typed.Wait({ value: '' }, { timeoutMs: 30 }), { code: 'ERR_TTRPC_STATUS' });
    t.equal(await typed.Metadata({ value: '' }, { metadata: { trace: 'one' } }), 'one');
    const many = await Promise.all(Array.from({ length: 1000 }, (_, i) => typed.Say({ value: String(i) })));
    t.ok(
      many.every((value, i) => value === String(i)),
      'a thousand calls at once',
    );
    t.equal(await typed.Join(Array.from({ length: 100 }, () => ({ value: 'x' }))), 'x'.repeat(100));
    t.equal(await typed.Join([]), '');
    t.strictSame(await all(typed.Split({ value: 'abc' })), ['a', 'b', 'c']);
    t.strictSame(await all(typed.Split({ value: '' })), []);
    const before: string[] = [];
    await t.rejects(
      async () => {
        for await (const value of typed.Split({ value: 'ab!c' })) before.push(value);
      },
      { code: 'ERR_TTRPC_STATUS', message: 'no further' },
    );
    t.strictSame(before, ['a', 'b']);
    const words = ['one', '', 'three', 'y'.repeat(1_000_000)];
    t.strictSame(await all(typed.Repeat(words.map(value => ({ value })))), words);
    t.equal(await typed.Say({ value: 'still here' }), 'still here');
  });

  for (const vector of vectors('exchanges').filter(vector => vector.go)) {
    t.test(`Go's server agrees with the vectors: ${vector.name}`, async t => {
      const { path, stop } = await goServer(program);
      t.teardown(stop);
      const peer = new RawPeer(connect(path));
      t.teardown(() => peer.socket.destroy());
      for (const [index, part] of vector.send.entries()) {
        const last = vector.send[index - 1];
        if (typeof part === 'string' && typeof last === 'string')
          await peer.until(() => peer.frames.length > 0);
        peer.socket.write(bytesOf(part));
      }
      await peer.until(() => peer.frames.length >= vector.expect.length);
      const got = peer.frames.map(({ streamId, type, payload }) => {
        const response = decodeResponse(payload);
        return { streamId, type, code: response.status?.code ?? 0, message: response.status?.message ?? '' };
      });
      const order = (a: { streamId: number }, b: { streamId: number }): number => a.streamId - b.streamId;
      const want = vector.expect.map(({ streamId, type, code, message }) => ({
        streamId,
        type,
        code,
        message: message?.startsWith('/') === true ? new RegExp(message.slice(1, -1)) : (message ?? ''),
      }));
      t.equal(got.length, want.length);
      t.match(got.toSorted(order), want.toSorted(order));
    });
  }
}

async function all(values: AsyncIterable<string>): Promise<string[]> {
  const result: string[] = [];
  for await (const value of values) result.push(value);
  return result;
}

async function output(program: string, args: string[]): Promise<{ lines: string[]; status: number | null }> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let written = '';
  child.stdout.on('data', (chunk: Buffer) => (written += chunk.toString()));
  const status = await new Promise<number | null>(resolve => {
    child.on('close', resolve);
  });
  return { lines: written.split('\n').filter(line => line !== ''), status };
}

async function goServer(program: string): Promise<{ path: string; stop: () => Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'ttrpc-'));
  const path = join(directory, 's');
  const child = spawn(program, ['server', path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<void>(resolve => {
    child.on('close', () => resolve());
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    void ended.then(() => reject(new Error('the Go server ended before it listened')));
  });
  return {
    path,
    async stop() {
      child.kill('SIGKILL');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
