// SPDX-License-Identifier: Apache-2.0
// Server and client against peers that send anything: they answer, refuse or hang up, and others notice nothing.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import t from 'tap';
import { connectUnix, encodeFrame, encodeRequest } from '../src/index.js';
import { runEcho } from './support/echo.js';

const blob = fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes));
const method = fc.constantFrom('Say', 'Wait', 'Fail', 'Join', 'Hold', 'Split', 'Repeat', 'Nope');
const request = fc
  .record({ method, payload: blob, timeoutNano: fc.bigInt({ min: -1n, max: 2n ** 40n }) })
  .map(r => encodeRequest({ service: 'test.Echo', metadata: [], ...r }));
/** Frames that are plausible: small ids, known types and flags, envelopes that decode or nearly do. */
const frames = fc.array(
  fc
    .record({
      streamId: fc.nat({ max: 12 }),
      type: fc.nat({ max: 4 }),
      flags: fc.nat({ max: 7 }),
      payload: fc.oneof(blob, request, fc.constant(Buffer.alloc(0))),
    })
    .map(({ payload, ...header }) => encodeFrame(header, payload)),
  { maxLength: 20 },
);
const noise = fc.oneof(blob, frames.map(Buffer.concat));

/** Sends the bytes, then ends; resolves when the connection is gone from this side. */
async function throwAt(path: string, bytes: Buffer): Promise<void> {
  await new Promise<void>(resolve => {
    const socket = connect(path, () => socket.end(bytes));
    socket.on('data', () => {});
    socket.on('error', () => {});
    socket.on('close', () => resolve());
  });
}

t.test('whatever 400 peers send, the server serves the next one', async t => {
  const running = await runEcho({ byteBudget: 100_000, stallMs: 10 });
  t.teardown(() => running.stop());
  const client = await connectUnix(running.path);
  t.teardown(() => client.close());
  const lost: unknown[] = [];
  void client.closed.then(error => lost.push(error));
  for (const bytes of fc.sample(noise, 400)) await throwAt(running.path, bytes);
  await Promise.all(running.accepted.slice(1).map(connection => connection.closed));
  t.equal(running.accepted.length, 401);
  t.equal(running.server.connections, 1, 'all of them are forgotten');
  t.equal(Buffer.from(await client.call('test.Echo', 'Say', Buffer.from('fine'))).toString(), 'fine');
  t.strictSame(lost, []);
});

async function toTheEnd(stream: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const message of stream) t.type(message, Uint8Array);
}

t.test('whatever 200 servers answer, a call ends, and in an error of ours if not well', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'ttrpc-'));
  const answers = fc.sample(noise, 200);
  let served = 0;
  const listener = createServer(socket => {
    socket.on('error', () => {});
    const answer = answers[served++] ?? Buffer.alloc(0);
    socket.once('data', () => socket.end(answer));
  });
  const path = join(directory, 's');
  await new Promise<void>(resolve => {
    listener.listen(path, resolve);
  });
  t.teardown(() => {
    listener.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const strange: unknown[] = [];
  for (let i = 0; i < answers.length; i++) {
    const client = await connectUnix(path);
    const calls = [
      client.call('test.Echo', 'Say', Buffer.alloc(0)),
      client.stream('test.Echo', 'Join', { kind: 'client-stream' }).result(),
      // To its end: after its first message it is still open, with nothing wrong.
      toTheEnd(client.stream('test.Echo', 'Repeat', { kind: 'bidi' })),
    ];
    for (const result of await Promise.allSettled(calls)) {
      if (result.status === 'fulfilled') continue;
      const { reason }: { reason: unknown } = result;
      if (reason instanceof Error && 'code' in reason && String(reason.code).startsWith('ERR_TTRPC_'))
        continue;
      strange.push(reason);
    }
    t.equal(client.openCalls, 0);
    await client.closed;
  }
  t.strictSame(strange, []);
});
