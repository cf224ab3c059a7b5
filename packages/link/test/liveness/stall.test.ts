// SPDX-License-Identifier: Apache-2.0
// What is taken for a lost network and what is not: the rule as a table, and the watch over real sockets, with a table
// of the test's own in place of the kernel's. Real networks that swallow packets are in test/system/blackhole.
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import type { LinkError } from '../../src/errors.js';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import { startRelay } from '../../src/relay/relay.js';
import {
  endWhenStalled,
  isStalled,
  silenceAfter,
  StallWatch,
  type Silence,
} from '../../src/liveness/stall.js';
import { tableKey, type TcpEntry } from '../../src/liveness/tcp-table.js';
import { streamPair } from '../support/frames.js';
import { dial, listen, makeWorld, recordingLog, silentLog } from '../support/tls.js';

const entry = (retransmits: number, probes = 0, unacknowledged = 100): TcpEntry => ({
  unacknowledged,
  retransmits,
  probes,
});

/** Looks one after another, each with its time in seconds. */
function silence(looks: readonly (readonly [number, TcpEntry])[], longestMs = 6_000): Silence | null {
  let known: Silence | null = null;
  for (const [at, seen] of looks) known = silenceAfter(known, seen, at * 1_000, longestMs);
  return known;
}

t.test('the rule', async t => {
  const stalled = (...looks: (readonly [number, TcpEntry])[]): boolean => {
    const known = silence(looks);
    return known !== null && isStalled(known, 15_000);
  };
  const dead = [3, 5, 7, 9, 11, 13, 15, 17, 19].map(
    at => [at, entry(Math.floor(Math.log2(at / 0.2 + 1)))] as const,
  );
  t.ok(stalled(...dead), 'tries that become more for 15 s');
  t.notOk(stalled(...dead.slice(0, -1)), 'a little less is not enough');
  t.notOk(stalled(...dead, [19.5, entry(0)]), 'acknowledged at last');
  t.notOk(stalled(...dead, [19.5, entry(4, 0, 0)]), 'nothing is owed');
  t.notOk(stalled(...dead, [19.5, entry(2)]), 'acknowledged between two looks, and lost again');
  t.notOk(
    stalled(...dead.map(([at]) => [at, entry(1)] as const)),
    'a count that stays: the peer answers, and its window is closed',
  );
  t.ok(
    stalled(...dead.map(([at], i) => [at, entry(0, 1 + i)] as const)),
    'probes of a closed window that nobody answers',
  );
  t.notOk(
    stalled(...dead.map(([at], i) => [at, entry(0, i % 2)] as const)),
    'probes that are answered: the peer is stopped, its kernel is not',
  );
  t.notOk(stalled([3, entry(3)], [300, entry(4)]), 'a machine that slept between two looks saw nothing');
});

t.test('whoever acknowledges something every few seconds is never given up', async t => {
  // A network that loses much: tries begin anew at each acknowledgement, and double their pauses in between.
  const property = fc.property(
    fc.array(fc.double({ min: 0.05, max: 6, noNaN: true }), { minLength: 5, maxLength: 60 }),
    fc.double({ min: 0.2, max: 1, noNaN: true }),
    (pauses, firstTry) => {
      const acknowledged = [0];
      for (const pause of pauses) acknowledged.push((acknowledged.at(-1) ?? 0) + pause);
      const looks: (readonly [number, TcpEntry])[] = [];
      for (let at = 0; at < (acknowledged.at(-1) ?? 0); at += 2) {
        const last = acknowledged.findLast(moment => moment <= at) ?? 0;
        looks.push([at, entry(Math.floor(Math.log2((at - last) / firstTry + 1)))]);
      }
      return looks.every((_, i) => {
        const known = silence(looks.slice(0, i + 1));
        return known === null || !isStalled(known, 15_000);
      });
    },
  );
  t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }));
});

const TIMING = { stallMs: 200, tickMs: 20 };

interface Scene {
  readonly near: Socket;
  readonly far: Socket;
  readonly watch: StallWatch;
  /** Puts this entry of `near` into the table. */
  readonly tell: (entry: TcpEntry) => void;
}

/** A table that has this socket in it. */
function tableOf(t: Test, socket: Socket): Pick<Scene, 'watch' | 'tell'> {
  const table = join(t.testdir(), 'tcp');
  const key = tableKey(socket)?.key ?? '';
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');
  const tell = ({ unacknowledged, retransmits, probes }: TcpEntry): void => {
    const rest = `01 ${hex(unacknowledged)}:00000000 01:00000014 ${hex(retransmits)}     0        ${probes} 7 2 0`;
    writeFileSync(`${table}.new`, `  sl  local_address\n   0: ${key} ${rest}\n`);
    renameSync(`${table}.new`, table);
  };
  tell(entry(0, 0, 0));
  return { watch: new StallWatch(TIMING, { IPv4: table, IPv6: table }), tell };
}

async function scene(t: Test): Promise<Scene> {
  const server = createServer(socket => socket.on('error', () => {}));
  t.teardown(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP server');
  const accepted = once(server, 'connection');
  const near = connect(address.port, '127.0.0.1');
  const [far]: Socket[] = await accepted;
  if (far === undefined) throw new Error('no connection');
  t.teardown(() => near.destroy());
  t.teardown(() => far.destroy());
  if (near.connecting) await once(near, 'connect');
  near.resume();
  return { near, far, ...tableOf(t, near) };
}

/** Tells of one more try after another, until `until` settles. */
async function tries(s: Pick<Scene, 'tell'>, until: Promise<unknown>): Promise<void> {
  const state = { ended: false };
  void until.finally(() => (state.ended = true));
  for (let n = 1; !state.ended; n += 1) {
    s.tell(entry(n));
    await sleep(50);
  }
}

t.test('a socket whose bytes nobody acknowledges is reported, once', async t => {
  const s = await scene(t);
  const told: number[] = [];
  const stalled = new Promise<void>(resolve => {
    s.watch.add(s.near, silentLog, ms => {
      told.push(ms);
      resolve();
    });
  });
  s.near.write('a call');
  await tries(s, stalled);
  await tries(s, sleep(3 * TIMING.stallMs));
  t.equal(told.length, 1);
  t.ok((told[0] ?? 0) >= TIMING.stallMs, `after ${told[0]} ms`);
});

t.test('bytes of a handshake count, though no call was written', async t => {
  const s = await scene(t);
  await tries(s, new Promise<void>(resolve => s.watch.add(s.near, silentLog, () => resolve())));
  t.equal(s.near.bytesWritten, 0);
});

t.test('a socket that reads something now and then is not even looked for', async t => {
  const s = await scene(t);
  s.watch.add(s.near, silentLog, () => t.fail('reported'));
  s.near.write('a call');
  const beat = setInterval(() => s.far.write('.'), TIMING.tickMs / 4);
  await tries(s, sleep(3 * TIMING.stallMs));
  clearInterval(beat);
});

t.test('a socket that was found settled is left alone until it writes again', async t => {
  const s = await scene(t);
  let reported = false;
  const stalled = new Promise<void>(resolve => {
    s.watch.add(s.near, silentLog, () => {
      reported = true;
      resolve();
    });
  });
  await sleep(5 * TIMING.tickMs);
  await tries(s, sleep(3 * TIMING.stallMs));
  t.notOk(reported);
  s.near.write('a call');
  await tries(s, stalled);
  t.ok(reported);
});

t.test('a socket that is gone is forgotten', async t => {
  const s = await scene(t);
  s.watch.add(s.near, silentLog, () => t.fail('reported'));
  s.near.write('a call');
  s.tell(entry(1));
  await sleep(3 * TIMING.tickMs);
  s.near.destroy();
  await once(s.near, 'close');
  s.watch.add(s.near, silentLog, () => t.fail('reported'));
  await tries(s, sleep(2 * TIMING.stallMs));
});

t.test('where the table is hidden, that is said once, at debug, and nothing is watched', async t => {
  const s = await scene(t);
  const hidden = join(t.testdir(), 'nowhere');
  const watch = new StallWatch(TIMING, { IPv4: hidden, IPv6: hidden });
  const { log, lines } = recordingLog();
  watch.add(s.near, log, () => t.fail('reported'));
  while (lines.length === 0) await sleep(5);
  watch.add(s.far, log, () => t.fail('reported'));
  await sleep(5 * TIMING.tickMs);
  t.match(lines, [{ level: 20, error: 'ENOENT', msg: 'lost networks are left to the kernel to notice' }]);
  t.equal(lines.length, 1);
});

for (const end of ['downstream', 'upstream'] as const) {
  t.test(`a relay whose ${end} is a link that stalled comes to its end`, async t => {
    const world = await makeWorld();
    const listener = await listen(world, { onPeer: peer => t.teardown(() => void peer.socket.destroy()) });
    t.teardown(() => listener.close());
    const link = await dial(world, listener.address().port);
    const [near, far] = streamPair();
    t.teardown(() => far.destroy());
    const ends = {
      downstream: { downstream: link, upstream: near },
      upstream: { downstream: near, upstream: link },
    }[end];
    const relay = startRelay({
      downstream: ends.downstream,
      openUpstream: async () => ends.upstream,
      rewrites: [],
      redial: null,
      log: silentLog,
    });
    link.socket.write('a call that was never delivered');
    const table = tableOf(t, link.socket);
    const told = new Promise<LinkError>(resolve =>
      endWhenStalled(link.socket, link.peer.remote, silentLog, resolve, table.watch),
    );
    await tries(table, told);
    t.match(await relay.closed, { why: end === 'downstream' ? 'downstream-closed' : 'upstream-lost' });
  });
}

t.test('a link is reset, and its error is known before its close', async t => {
  const world = await makeWorld();
  const far: VerifiedPeer[] = [];
  const listener = await listen(world, { onPeer: peer => far.push(peer) });
  t.teardown(() => listener.close());
  const near = await dial(world, listener.address().port);
  near.socket.write('a call that was never delivered');
  while (far.length === 0) await new Promise(setImmediate);
  const [peer] = far;
  if (peer === undefined) throw new Error('nobody came');
  peer.socket.resume();
  const reset = new Promise(resolve => peer.socket.once('close', () => resolve(peer.failure()?.message)));
  const { log, lines } = recordingLog();
  const table = tableOf(t, near.socket);
  const events: string[] = [];
  near.socket.on('error', (error: Error) => events.push(error.name));
  near.socket.on('close', () => events.push('close'));
  const told = new Promise<LinkError>(resolve => {
    const onError = (error: LinkError): void => {
      t.strictSame(events, [], 'nobody has heard of it yet');
      resolve(error);
    };
    endWhenStalled(near.socket, near.peer.remote, log, onError, table.watch);
  });
  await tries(table, told);
  t.match(await told, { code: 'ERR_LINK_STALLED', permanent: false, message: /^127\.0\.0\.1:\d+ has ack/ });
  t.match(await reset, /ECONNRESET/, 'not closed in order: nothing is delivered later');
  await new Promise(setImmediate);
  t.strictSame(events.toSorted(), ['LinkError', 'close']);
  t.match(lines, [{ level: 40, remote: near.peer.remote }]);
});
