// SPDX-License-Identifier: Apache-2.0
// The listening side against peers that are silent, slow, many, or speak something else.
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import type { LinkListener, ListenOptions } from '../../src/tls/listen.js';
import type { PeerRefusal } from '../../src/tls/refusal-log.js';
import { requestFrame } from '../support/frames.js';
import { dial, listen, makeWorld, recordingLog } from '../support/tls.js';

const world = await makeWorld();

async function scene(t: Test, o: Partial<ListenOptions> = {}) {
  const peers: VerifiedPeer[] = [];
  const refused: PeerRefusal[] = [];
  let wake: (() => void)[] = [];
  const { log, lines } = recordingLog();
  const listener: LinkListener = await listen(world, {
    onPeer: peer => void peers.push(peer),
    onRefused: refusal => {
      refused.push(refusal);
      for (const resolve of wake.splice(0)) resolve();
    },
    log,
    ...o,
  });
  t.teardown(async () => {
    for (const peer of peers) peer.socket.destroy();
    await listener.close();
  });
  const refusals = async (count: number): Promise<PeerRefusal[]> => {
    while (refused.length < count) await new Promise<void>(resolve => void wake.push(resolve));
    return refused;
  };
  return { listener, peers, refusals, refused, lines, port: listener.address().port };
}

function plain(t: Test, port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  return socket;
}

/** Resolves when the other side ended the connection, in whatever way. */
const closed = (socket: Socket): Promise<void> =>
  new Promise(resolve => {
    if (socket.closed) return resolve();
    socket
      .on('error', () => {})
      .once('end', resolve)
      .once('close', () => resolve())
      .resume();
  });

t.test('plain ttrpc on the TLS port is named, with the flag to look at', async t => {
  const { port, refusals, lines } = await scene(t);
  const socket = plain(t, port);
  socket.write(requestFrame(1, { service: 'grpc.Health', method: 'Check' }));
  t.match(await refusals(1), [{ rule: 'speaks-plain-ttrpc', text: /-disable-tls/u, refusal: null }]);
  t.match(lines, [{ level: 40, msg: 'connection refused', rule: 'speaks-plain-ttrpc' }]);
  await closed(socket);
});

for (const [what, bytes, rule] of [
  ['HTTP', 'GET / HTTP/1.1\r\n\r\n', 'speaks-http'],
  ['garbage', '\x00\xff\x13\x37garbage garbage', 'not-tls'],
  ['an SSH banner', 'SSH-2.0-x\r\n', 'not-tls'],
  ['a TLS record with nonsense in it', '\x16\x03\x01\x00\x05nonse', 'handshake-failed'],
] as const) {
  t.test(`${what} on the TLS port is refused and the listener lives on`, async t => {
    const { port, refusals } = await scene(t);
    const socket = plain(t, port);
    socket.write(bytes, 'latin1');
    t.match(await refusals(1), [{ rule }]);
    await closed(socket);
    const link = await dial(world, port);
    link.close();
  });
}

t.test('a scanner that connects and leaves is a debug line', async t => {
  const { port, refusals, lines } = await scene(t);
  plain(t, port).end();
  t.match(await refusals(1), [{ rule: 'hung-up' }]);
  t.match(lines, [{ level: 20 }]);
});

t.test('a handshake that is not done in time is ended', async t => {
  const { port, refusals } = await scene(t, { handshakeTimeoutMs: 50 });
  const socket = plain(t, port);
  socket.write(Buffer.from('1603010200010001fc0303', 'hex'));
  const silent = plain(t, port);
  const rules = (await refusals(2)).map(r => r.rule).sort();
  t.same(rules, ['silent', 'slow-handshake']);
  await Promise.all([closed(socket), closed(silent)]);
});

t.test('a thousand connections that never speak cost little, are closed, and lock nobody out', async t => {
  const { port, refusals, lines, refused } = await scene(t, {
    handshakeTimeoutMs: 1_500,
    maxHandshakes: 256,
  });
  global.gc?.();
  const before = process.memoryUsage().rss;
  const crowd = Array.from({ length: 1_000 }, () => plain(t, port));
  const gone = Promise.all(crowd.map(closed));
  await refusals(1_000 - 256);
  t.ok(
    refused.every(r => r.rule === 'too-many-handshakes'),
    'the oldest gave way',
  );
  const link = await dial(world, port);
  t.ok(link.peer.tls, 'a peer that speaks gets in at once');
  link.close();
  await gone;
  t.ok(
    process.memoryUsage().rss - before < 64 * 1024 * 1024,
    'both ends of a thousand sockets in this process',
  );
  const told = lines.filter(l => l.msg === 'connection refused' && l.level >= 40).length;
  t.ok(told >= 20 && told < 60, `${told} lines for a thousand refusals`);
});

t.test('a flood of half handshakes gives way to a real one', async t => {
  const { port, refusals } = await scene(t, { maxHandshakes: 16 });
  const flood = Array.from({ length: 64 }, () => {
    const socket = plain(t, port);
    socket.write(Buffer.from('1603010200010001fc0303', 'hex'));
    return socket;
  });
  await refusals(48);
  const link = await dial(world, port);
  link.close();
  for (const socket of flood) socket.destroy();
});

t.test('beyond the cap of links, and of links from one address, a peer is turned away', async t => {
  const { port, listener, refusals, peers } = await scene(t, { maxPeers: 2 });
  const links = [await dial(world, port), await dial(world, port)];
  while (listener.peerCount < 2) await new Promise(setImmediate);
  const third = await dial(world, port).catch((error: unknown) => error);
  t.match(third, { code: 'ERR_LINK_CLOSED' });
  t.match(await refusals(1), [{ rule: 'too-many-peers' }]);
  for (const link of links) link.close();
  for (const peer of peers) peer.close();
  await Promise.all(peers.map(p => closed(p.socket)));
  t.equal(listener.peerCount, 0);
  const again = await dial(world, port);
  again.close();
  const narrow = await scene(t, { maxPeersPerAddress: 1 });
  const one = await dial(world, narrow.port);
  while (narrow.listener.peerCount < 1) await new Promise(setImmediate);
  await dial(world, narrow.port).catch(() => {});
  t.match(await narrow.refusals(1), [{ rule: 'too-many-from-address' }]);
  one.close();
});

t.test('an address in use is named', async t => {
  const { port } = await scene(t);
  const second = await listen(world, { port, onPeer: () => {} }).catch((error: unknown) => error);
  t.match(second, {
    code: 'ERR_LINK_LISTEN',
    message: new RegExp(`127\\.0\\.0\\.1:${port}: another program`, 'u'),
  });
});

t.test('closing stops listening, drops handshakes, and leaves judged links to their owners', async t => {
  const { port, listener, peers } = await scene(t);
  const link = await dial(world, port);
  t.teardown(() => link.close());
  const half = plain(t, port);
  await once(half, 'connect');
  while (peers.length < 1) await new Promise(setImmediate);
  await listener.close();
  await closed(half);
  const late = plain(t, port);
  await closed(late);
  peers[0]?.socket.write('alive');
  t.equal(String((await once(link.socket, 'data'))[0]), 'alive');
});

t.test('a plain listener hands on peers at once, judged as plain', async t => {
  const { port, peers } = await scene(t, { security: { t: 'plain' } });
  const socket = plain(t, port);
  await once(socket, 'connect');
  while (peers.length < 1) await new Promise(setImmediate);
  t.match(peers[0]?.peer, { tls: null, expiresAt: null, remote: /^127\.0\.0\.1:/u });
});

t.test('a client that is not named, or whose naming throws, is refused alone', async t => {
  const answers: ((leaf: X509Certificate) => string | null)[] = [
    () => {
      throw new Error('no');
    },
    leaf => `${leaf.subject} is not one of them`,
    () => null,
  ];
  const { port, refusals } = await scene(t, { admit: leaf => answers.shift()?.(leaf) ?? null });
  for (const count of [1, 2]) {
    await closed((await dial(world, port)).socket);
    await refusals(count);
  }
  t.match(await refusals(2), [
    { rule: 'handshake-failed' },
    { rule: 'not-named', text: /is not one of them/ },
  ]);
  const link = await dial(world, port);
  t.notOk(link.socket.destroyed);
  link.close();
});

t.test('a handler that throws costs its own peer only', async t => {
  let first = true;
  const { port } = await scene(t, {
    onPeer: peer => {
      if (!first) return void peer.socket.write('welcome');
      first = false;
      throw new Error('no');
    },
  });
  const refused = await dial(world, port);
  await closed(refused.socket);
  const link = await dial(world, port);
  t.equal(String((await once(link.socket, 'data'))[0]), 'welcome');
  link.close();
});
