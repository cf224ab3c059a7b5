// SPDX-License-Identifier: Apache-2.0
// The listening side against peers that are silent, slow, many, or speak something else.
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { deadline } from '@peerpod-tls/base';
import { selfSignedClient } from '@peerpod-tls/certs';
import t, { type Test } from 'tap';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import type { LinkListener, ListenOptions } from '../../src/tls/listen.js';
import type { PeerRefusal } from '../../src/tls/refusal-log.js';
import { requestFrame } from '../support/frames.js';
import {
  dial,
  listen,
  makeWorld,
  material,
  profile,
  recordingLog,
  serverName,
  weakMaterial,
} from '../support/tls.js';

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

t.test('closing stops listening, drops handshakes, and leaves verified links to their owners', async t => {
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

t.test('a plain listener hands on peers at once, accepted as plain', async t => {
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

/** The client's half of a handshake by Node alone, over a connection that stands already or to the port. */
function nodeClient(
  t: Test,
  over: Socket | number,
  maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3',
): TLSSocket {
  const socket = connectTls({
    ...(typeof over === 'number' ? { port: over, host: '127.0.0.1' } : { socket: over }),
    cert: world.clientLeaf.certPem,
    key: world.clientLeaf.keyPem,
    ca: world.authority.certPem,
    servername: 'podvm-test',
    maxVersion,
  });
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  return socket;
}

t.test('a certificate of our own that OpenSSL refuses costs connections and not the process', async t => {
  let own = weakMaterial(t, world);
  const { port, refusals, lines } = await scene(t, {
    security: { t: 'tls', material: () => own, profile },
  });
  const socket = plain(t, port);
  socket.write('\x16\x03\x01\x00\x05', 'latin1');
  t.match(await refusals(1), [{ rule: 'handshake-failed', text: /this side .*key too small/u }]);
  t.match(lines[0], { level: 50, error: /key too small/u });
  await closed(socket);
  own = world.server;
  const link = await dial(world, port);
  link.close();
});

t.test('whatever else throws for a connection costs that connection alone', async t => {
  let broken = '';
  const fail = (what: string): void => {
    if (broken === what) throw new Error(`${what} is broken`);
  };
  const { port, lines, peers } = await scene(t, {
    security: {
      t: 'tls',
      material: () => {
        fail('material');
        return world.server;
      },
      profile,
    },
    admit: () => {
      fail('admit');
      return null;
    },
    onRefused: () => fail('onRefused'),
  });
  for (const what of ['material', 'admit', 'onRefused']) {
    broken = what;
    const socket = plain(t, port);
    if (what === 'onRefused') socket.write('GET / HTTP/1.1\r\n\r\n');
    else nodeClient(t, socket);
    await closed(socket);
    t.ok(
      lines.some(line => line.level === 50 && String(line['error']).includes(`${what} is broken`)),
      what,
    );
  }
  broken = '';
  const link = await dial(world, port);
  while (peers.length < 1) await new Promise(setImmediate);
  link.close();
});

t.test('a handshake that ends when the last place is taken is turned away', async t => {
  const { port, peers, refusals } = await scene(t, { maxPeers: 1 });
  const connections = [plain(t, port), plain(t, port)];
  await Promise.all(connections.map(socket => once(socket, 'connect')));
  await sleep(50);
  const [first, second] = connections.map(socket => nodeClient(t, socket));
  t.match(await refusals(1), [{ rule: 'too-many-peers' }]);
  t.equal(peers.length, 1);
  t.ok(first && second);
});

t.test('the link that nobody reads for longest makes room for a new one of the same client', async t => {
  const { port, peers, refusals, lines } = await scene(t, { maxPeersPerAddress: 2, heldMs: 100 });
  for (let n = 1; n <= 2; n += 1) {
    t.teardown((await dial(world, port)).close);
    while (peers.length < n) await new Promise(setImmediate);
  }
  peers[0]?.socket.resume();
  await sleep(150);
  t.teardown((await dial(world, port)).close);
  while (peers.length < 3) await new Promise(setImmediate);
  t.notOk(peers[0]?.socket.destroyed, 'the older one is read');
  t.ok(peers[1]?.socket.destroyed);
  t.match(peers[1]?.failure(), { code: 'ERR_LINK_CLOSED', message: /made room/u });
  t.match(lines, [{ level: 40, msg: 'link closed that nobody read, for a new one of the same client' }]);
  peers[2]?.socket.resume();
  await sleep(150);
  await dial(world, port).catch(() => {});
  t.match(await refusals(1), [{ rule: 'too-many-from-address' }], 'one that is read makes no place');
});

t.test('a client makes no place for another one', async t => {
  const other = await selfSignedClient();
  const both = material('server', world.serverLeaf, world.clientLeaf.certPem + other.certPem);
  const { port, peers, refusals } = await scene(t, {
    security: { t: 'tls', material: () => both, profile },
    maxPeers: 1,
    heldMs: 20,
  });
  t.teardown((await dial(world, port)).close);
  while (peers.length < 1) await new Promise(setImmediate);
  await sleep(50);
  const stranger = material('client', other, world.authority.certPem);
  const security = { t: 'tls', material: () => stranger, profile } as const;
  await dial(world, port, { security }).catch(() => {});
  t.match(await refusals(1), [{ rule: 'too-many-peers' }]);
  t.notOk(peers[0]?.socket.destroyed);
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  t.test(`no session ticket is sent under ${version}`, async t => {
    const { port } = await scene(t, {
      security: { t: 'tls', material: () => world.server, profile: { minVersion: 'TLSv1.2' } },
      onPeer: ({ socket }) => void socket.on('error', () => {}).pipe(socket),
    });
    const client = nodeClient(t, port, version);
    let sessions = 0;
    client.on('session', () => (sessions += 1));
    await once(client, 'secureConnect');
    t.equal(client.getProtocol(), version);
    // What a server sends after the handshake comes before its answer.
    client.write('echo');
    await once(client, 'data');
    t.equal(sessions, 0);
    t.equal(client.getTLSTicket(), undefined);
  });
}

t.test('renegotiation is refused', { timeout: 20_000 }, async t => {
  const { port } = await scene(t, {
    security: { t: 'tls', material: () => world.server, profile: { minVersion: 'TLSv1.2' } },
    onPeer: ({ socket }) => void socket.on('error', () => {}).resume(),
  });
  const client = nodeClient(t, port, 'TLSv1.2');
  await once(client, 'secureConnect');
  using signal = deadline(5_000);
  const error = await new Promise(resolve => {
    // Without the guard the server takes part and nobody is told anything.
    signal.addEventListener('abort', () => resolve('no refusal within 5 s'));
    client.once('error', resolve);
    client.renegotiate({ rejectUnauthorized: false }, failed => resolve(failed));
  });
  t.match(error, { code: /NO_RENEGOTIATION/u });
});

t.test(
  'a resumable link is agreed on by name, and a client that offers other protocols is served as ever',
  async t => {
    const agreed: (boolean | undefined)[] = [];
    const { port } = await scene(t, {
      session: true,
      onPeer: ({ socket, peer }) => {
        agreed.push(peer.tls?.session);
        socket.on('error', () => {}).resume();
      },
    });
    const answers: unknown[] = [];
    for (const ALPNProtocols of [
      ['peerpod-link/1'],
      ['h2', 'peerpod-link/1'],
      ['h2'],
      ['peerpod-link/2'],
      undefined,
    ]) {
      const client = connectTls({
        port,
        host: '127.0.0.1',
        cert: world.clientLeaf.certPem,
        key: world.clientLeaf.keyPem,
        ca: world.authority.certPem,
        servername: serverName,
        ...(ALPNProtocols === undefined ? {} : { ALPNProtocols }),
      });
      t.teardown(() => void client.on('error', () => {}).destroy());
      await once(client, 'secureConnect');
      answers.push(client.alpnProtocol);
      while (agreed.length < answers.length) await new Promise(setImmediate);
    }
    t.strictSame(answers, ['peerpod-link/1', 'peerpod-link/1', false, false, false]);
    t.strictSame(agreed, [true, true, false, false, false]);
  },
);
