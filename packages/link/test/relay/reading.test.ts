// SPDX-License-Identifier: Apache-2.0
// Reading with real sockets, in whichever way is in force: the suites run with reads lent (and what was lent overwritten
// afterwards) and with reads that have buffers of their own.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { spawnSync } from 'node:child_process';
import type { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import { lentConnection, readsInForce, startReading } from '../../src/relay/reading.js';
import type { LentReads } from '../../src/relay/types.js';
import { unixServer } from '../support/frames.js';
import { dial, listen, makeWorld } from '../support/tls.js';

const world = await makeWorld();
const mode = process.env['PEERPOD_LENT_READS'] ?? 'on';
const turn = (): Promise<void> => new Promise(resolve => void setImmediate(resolve));

/** Everything an end reads, copied as it comes, and the buffers it came in. */
class Reader {
  readonly buffers = new Set<ArrayBufferLike>();
  readonly kept: Buffer[] = [];
  #seen = Buffer.alloc(0);
  #tell: () => void = () => {};

  constructor(end: Duplex | LentReads<Duplex>) {
    startReading(end, (bytes, length) => {
      this.buffers.add(bytes.buffer);
      this.kept.push(bytes.subarray(0, length));
      this.#seen = Buffer.concat([this.#seen, bytes.subarray(0, length)]);
      this.#tell();
    });
  }

  get text(): string {
    return this.#seen.toString('latin1');
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.#seen.length < count) await new Promise<void>(resolve => (this.#tell = resolve));
    return this.#seen;
  }
}

/** The four kinds of ends a relay has: the near one is read, the far one writes. */
const kinds: Record<string, (t: Test) => Promise<{ near: Duplex | LentReads<Duplex>; far: Duplex }>> = {
  'an accepted Unix socket': async t => {
    const accepted: Socket[] = [];
    const server = await unixServer(socket => void accepted.push(socket));
    const far = await server.connect();
    while (accepted[0] === undefined) await turn();
    t.teardown(server.close);
    t.teardown(() => void far.destroy());
    return { near: accepted[0], far };
  },
  'a Unix socket that was dialled': async t => {
    const accepted: Socket[] = [];
    const server = await unixServer(socket => void accepted.push(socket));
    const { onread, reads } = lentConnection();
    const near = connect({
      path: server.path,
      allowHalfOpen: true,
      ...(onread === undefined ? {} : { onread }),
    });
    near.pause();
    await once(near, 'connect');
    while (accepted[0] === undefined) await turn();
    t.teardown(server.close);
    t.teardown(() => void near.destroy());
    return { near: reads(near), far: accepted[0] };
  },
  'the server of a TLS link': async t => {
    const { client, server } = await link(t);
    return { near: server, far: client };
  },
  'the client of a TLS link': async t => {
    const { client, server } = await link(t);
    return { near: client, far: server };
  },
};

async function link(t: Test): Promise<{ client: Socket; server: Socket }> {
  const servers: Socket[] = [];
  const listener = await listen(world, { onPeer: peer => void servers.push(peer.socket) });
  const { socket: client } = await dial(world, listener.address().port);
  while (servers[0] === undefined) await turn();
  const [server] = servers;
  t.teardown(() => {
    client.destroy();
    server.destroy();
    return listener.close();
  });
  return { client, server };
}

const streamOf = (end: Duplex | LentReads<Duplex>): Duplex => ('readLent' in end ? end.stream : end);
const pattern = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 7) % 251));

for (const [kind, make] of Object.entries(kinds)) {
  t.test(`${kind} is read whole and in order, to its end`, async t => {
    const { near, far } = await make(t);
    // Some come before anybody listens.
    far.write('early ');
    await new Promise(resolve => setTimeout(resolve, 20));
    const reader = new Reader(near);
    const ended = once(streamOf(near), 'end');
    const sent = pattern(700_000);
    far.write('later ');
    far.end(sent);
    const seen = await reader.bytes(12 + sent.length);
    t.equal(reader.text.slice(0, 12), 'early later ');
    t.ok(seen.subarray(12).equals(sent));
    await ended;
  });

  t.test(`${kind} is not read while it is paused, save what was read before`, async t => {
    const { near, far } = await make(t);
    const reader = new Reader(near);
    far.write('a');
    await reader.bytes(1);
    streamOf(near).pause();
    far.write(Buffer.alloc(8 * 1024 * 1024));
    await new Promise(resolve => setTimeout(resolve, 50));
    t.ok(reader.kept.reduce((sum, { length }) => sum + length, 0) < 1024 * 1024);
    streamOf(near).resume();
    await reader.bytes(1 + 8 * 1024 * 1024);
  });
}

t.test(
  'all streams read into one buffer where reads are lent, and none into it where they are not',
  async t => {
    const buffers = new Set<ArrayBufferLike>();
    for (const make of Object.values(kinds)) {
      const { near, far } = await make(t);
      const reader = new Reader(near);
      far.write('x'.repeat(70_000));
      await reader.bytes(70_000);
      for (const buffer of reader.buffers) buffers.add(buffer);
    }
    if (readsInForce() === 'lent') t.equal(buffers.size, 1);
    else t.ok(buffers.size > 4);
  },
);

t.test(
  'what was lent is overwritten after its turn, so that a test sees who kept it',
  { skip: mode !== 'poison' && 'reads are not poisoned' },
  async t => {
    for (const make of Object.values(kinds)) {
      const { near, far } = await make(t);
      const reader = new Reader(near);
      far.write('kept too long');
      await reader.bytes(13);
      t.equal(reader.text, 'kept too long');
      t.ok(reader.kept.every(view => view.every(byte => byte === 0xdb)));
    }
  },
);

t.test('lent reads are what this release of Node offers, unless they were switched off', async t => {
  t.equal(readsInForce(), mode === 'off' ? 'own' : 'lent');
});

t.test('PEERPOD_LENT_READS takes three words, and any other is refused by name', async t => {
  const url = new URL('../../dist/relay/reading.js', import.meta.url).href;
  const program = `const { readsInForce } = await import(${JSON.stringify(url)});
    try { console.log(readsInForce()) } catch (error) { console.log(error.code, error.message) }`;
  const said = (value: string): string =>
    spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, PEERPOD_LENT_READS: value },
      encoding: 'utf8',
    }).stdout.trim();
  t.equal(said('on'), 'lent');
  t.equal(said('off'), 'own');
  t.match(said('yes'), /^ERR_LINK_SETTING PEERPOD_LENT_READS is "yes", not one of on, off, poison$/);
});
