// SPDX-License-Identifier: Apache-2.0
// What is taken for a lost network and what is not: the rule as a table, and the watch over real sockets, with a table
// of the test's own in place of the kernel's. Real networks that swallow packets are in test/system/blackhole.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import type { LinkError } from '../../src/errors.js';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import { startRelay } from '../../src/relay/relay.js';
import { endWhenGone, LinkWatch } from '../../src/liveness/link-watch.js';
import { lossCause } from '../../src/liveness/loss.js';
import {
  isStalled,
  partedBy,
  partingAfter,
  silenceAfter,
  type Parting,
  type Silence,
} from '../../src/liveness/silence.js';
import { tableKey, type TcpEntry } from '../../src/liveness/tcp-table.js';
import { streamPair } from '../support/frames.js';
import { dial, listen, makeWorld, recordingLog, silentLog } from '../support/tls.js';

const entry = (retransmits: number, probes = 0, unacknowledged = 100): TcpEntry => ({
  unacknowledged,
  retransmits,
  probes,
  parted: false,
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

t.test('the rule of a socket that nobody reads', async t => {
  const here = entry(0, 0, 0);
  const left = { ...here, parted: true };
  const after = (...looks: (readonly [number, TcpEntry | undefined])[]): 'reset' | 'ended' | null => {
    let known: Parting | null = null;
    for (const [at, seen] of looks) known = partingAfter(known, seen, at * 1_000, 6_000);
    return known === null ? null : partedBy(known, 15_000);
  };
  const missing = undefined;
  t.equal(after([1, here], [2, missing], [3, missing]), null, 'a socket slips through a look now and then');
  t.equal(after([1, missing], [2, missing], [3, missing]), 'reset');
  t.equal(after([1, missing], [2, missing], [3, here], [4, missing]), null);
  t.equal(after([0, left], [5, left], [10, left], [14, left]), null, 'what it said may still be read');
  t.equal(after([0, left], [5, left], [10, left], [15, left]), 'ended');
  t.equal(after([0, left], [5, left], [10, here], [15, left]), null);
  t.equal(after([0, left], [300, left]), null, 'a machine that slept between two looks saw nothing');
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

const TIMING = { stallMs: 200, heldMs: 200, tickMs: 20 };

interface Scene {
  readonly near: Socket;
  readonly far: Socket;
  readonly watch: LinkWatch;
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
  return { watch: new LinkWatch(TIMING, { IPv4: table, IPv6: table }), tell };
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
    s.watch.add(s.near, silentLog, loss => {
      told.push(loss.t === 'stalled' ? loss.ms : -1);
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
  const watch = new LinkWatch(TIMING, { IPv4: hidden, IPv6: hidden });
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
      endWhenGone(link.socket, link.peer.remote, silentLog, resolve, table.watch),
    );
    await tries(table, told);
    t.match(await relay.closed, { why: end === 'downstream' ? 'downstream-closed' : 'upstream-lost' });
  });
}

/** Resets a TCP connection at once; Node's own way sends an orderly end before. */
function resetNow(socket: Socket): void {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) throw new Error('internal error: no TCP handle');
  const reset: unknown = Reflect.get(handle, 'reset');
  if (typeof reset !== 'function') throw new Error('internal error: this Node.js cannot reset a handle');
  Reflect.apply(reset, handle, [() => socket.destroy()]);
}

const noKernelTable = !existsSync('/proc/self/net/tcp') && 'needs the table of sockets of Linux';

/** A listener's end that nobody reads from, watched in the kernel's own table, with so many bytes sent to it. */
async function heldLink(t: Test, bytes: number) {
  const server = createServer({ allowHalfOpen: true });
  t.teardown(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const accepted = once(server, 'connection');
  const far = connect(address !== null && typeof address === 'object' ? address.port : 0, '127.0.0.1');
  const [near]: Socket[] = await accepted;
  if (near === undefined) throw new Error('no connection');
  t.teardown(() => near.destroy());
  t.teardown(() => far.destroy());
  far.on('error', () => {});
  near.pause().read(0);
  far.write(Buffer.alloc(bytes));
  while (near.readableLength === 0) await sleep(5);
  const { log, lines } = recordingLog();
  const watch = new LinkWatch(TIMING);
  const lost = new Promise<LinkError>(resolve => endWhenGone(near, 'shim:1', log, resolve, watch));
  return { near, far, lines, lost };
}

t.test(
  'a link with half a header that nobody reads is let go when its client ended',
  { skip: noKernelTable },
  async t => {
    const { near, far, lines, lost } = await heldLink(t, 5);
    await sleep(2 * TIMING.heldMs);
    t.notOk(near.destroyed, 'a client that waits is left alone');
    far.destroy();
    t.match(await lost, { code: 'ERR_LINK_CLOSED', message: /while nobody read from it/, permanent: false });
    t.ok(near.destroyed);
    t.match(lines, [{ level: 40, msg: 'link closed because its other end is gone and nobody reads it' }]);
  },
);

t.test('a link that nobody reads and whose client was reset is a reset', { skip: noKernelTable }, async t => {
  const { far, lost } = await heldLink(t, 3 * 1024 * 1024);
  resetNow(far);
  t.equal(lossCause(await lost), 'reset');
});

t.test(
  'a client that said its last word is left alone while it is read',
  { skip: noKernelTable },
  async t => {
    const { near, far, lost } = await heldLink(t, 5);
    void lost.then(() => t.fail('given up'));
    near.resume();
    far.end();
    await once(near, 'end');
    await sleep(3 * TIMING.heldMs);
    t.notOk(near.destroyed, 'answers may still go to it');
    near.destroy();
  },
);

t.test('a look that was dear is followed by a rest', async t => {
  const s = await scene(t);
  const fifo = join(t.testdir(), 'tcp');
  execFileSync('mkfifo', [fifo]);
  const watch = new LinkWatch({ stallMs: 60_000, heldMs: 60_000, tickMs: 10 }, { IPv4: fifo, IPv6: fifo });
  watch.add(s.near, silentLog, () => t.fail('reported'));
  // Each look opens the table and reads to its end; whoever writes it takes a tenth of a second.
  let looks = 0;
  const serve = async (): Promise<void> => {
    const table = await open(fifo, 'w');
    looks += 1;
    await sleep(100);
    await table.close();
  };
  await serve();
  // Until the reader of that one has closed it too.
  await sleep(50);
  const second = serve();
  await sleep(1_000);
  t.equal(looks, 1, 'none within the rest of five seconds');
  // Nobody waits for the reader that does not come.
  const reader = await open(fifo, 'r');
  await second;
  await reader.close();
});

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
    endWhenGone(near.socket, near.peer.remote, log, onError, table.watch);
  });
  await tries(table, told);
  t.match(await told, { code: 'ERR_LINK_STALLED', permanent: false, message: /^127\.0\.0\.1:\d+ has ack/ });
  t.match(await reset, /ECONNRESET/, 'not closed in order: nothing is delivered later');
  await new Promise(setImmediate);
  t.strictSame(events.toSorted(), ['LinkError', 'close']);
  t.match(lines, [{ level: 40, remote: near.peer.remote }]);
});
