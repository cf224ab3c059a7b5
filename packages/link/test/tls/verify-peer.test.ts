// SPDX-License-Identifier: Apache-2.0
// Who is let in and who is not, on both sides, over real TLS: every refusal names its rule on the side that refused.
import { once } from 'node:events';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Authority, selfSignedClient, type IssuedCertificate, type TlsMaterial } from '@peerpod-tls/certs';
import t, { type Test } from 'tap';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import type { LinkListener, ListenOptions } from '../../src/tls/listen.js';
import type { PeerRefusal } from '../../src/tls/refusal-log.js';
import {
  day,
  dial,
  expiringLeaf,
  listen,
  makeWorld,
  material,
  profile,
  recordingLog,
  serverName,
  type World,
} from '../support/tls.js';
import { ext, forge, forgeCa, forgeLeaf, SERVER_AUTH } from '../support/forge.js';

const world = await makeWorld();
const stranger = await makeWorld();

interface Scene {
  readonly listener: LinkListener;
  readonly peers: VerifiedPeer[];
  readonly refused: PeerRefusal[];
  /** Resolves with the next refusal or peer. */
  readonly next: () => Promise<void>;
}

async function scene(t: Test, w: World = world, o: Partial<ListenOptions> = {}): Promise<Scene> {
  const peers: VerifiedPeer[] = [];
  const refused: PeerRefusal[] = [];
  let wake: (() => void)[] = [];
  let taken = 0;
  const note = (): void => {
    for (const resolve of wake.splice(0)) resolve();
  };
  const listener = await listen(w, {
    onPeer: peer => {
      peers.push(peer);
      note();
    },
    onRefused: refusal => {
      refused.push(refusal);
      note();
    },
    ...o,
  });
  t.teardown(async () => {
    for (const peer of peers) peer.socket.destroy();
    await listener.close();
  });
  const next = async (): Promise<void> => {
    while (peers.length + refused.length <= taken)
      await new Promise<void>(resolve => void wake.push(resolve));
    taken++;
  };
  return { listener, peers, refused, next };
}

/** A client that is not ours: whatever certificate, whatever version. */
function rawClient(
  t: Test,
  port: number,
  o: { certPem?: string; keyPem?: string; maxVersion?: 'TLSv1.2' } = {},
): TLSSocket {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    ...(o.certPem === undefined ? {} : { cert: o.certPem, key: o.keyPem }),
    ...(o.maxVersion === undefined ? {} : { maxVersion: o.maxVersion }),
  });
  t.teardown(() => socket.destroy());
  return socket;
}

/** How a socket ended: its error code, or `end`. */
function ending(socket: TLSSocket): Promise<string> {
  return new Promise(resolve => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.once('end', () => resolve('end'));
    socket.once('close', () => resolve('close'));
    socket.resume();
  });
}

t.test('two that trust each other are verified on both sides, and told what they need to know', async t => {
  const { listener, peers, next } = await scene(t);
  const link = await dial(world, listener.address().port);
  t.teardown(() => link.socket.destroy());
  await next();
  t.match(link.peer, {
    remote: `127.0.0.1:${listener.address().port}`,
    tls: {
      protocol: 'TLSv1.3',
      subject: /O=agent-protocol-forwarder|CN=/u,
      names: [serverName],
      fingerprint: /^[0-9a-f]{64}$/u,
    },
  });
  t.match(peers[0]?.peer.tls, { protocol: 'TLSv1.3', cipher: /^TLS_AES_/u, subject: 'O=cloud-api-adaptor' });
  t.ok((link.peer.tls?.handshakeMs ?? 0) > 0);
  const ends = [world.server.expiresAt, world.client.expiresAt].map(d => d.getTime());
  t.equal(link.peer.expiresAt?.getTime(), Math.min(...ends), 'the earlier expiry of both');
  t.equal(peers[0]?.peer.expiresAt?.getTime(), Math.min(...ends));
  t.equal(listener.peerCount, 1);
});

t.test('a client without a certificate is told so by an alert, and the log names the anchors', async t => {
  const { log, lines } = recordingLog();
  const { listener, refused, next } = await scene(t, world, { log });
  const socket = rawClient(t, listener.address().port);
  t.match(await ending(socket), /CERTIFICATE_REQUIRED/u);
  await next();
  t.match(refused, [
    { rule: 'no-certificate', refusal: { expected: [/cloud-api-adaptor/u], now: /^\d{4}-/u } },
  ]);
  t.match(lines, [
    {
      level: 40,
      msg: 'peer refused',
      rule: 'no-certificate',
      remote: /^127\.0\.0\.1:/u,
      expected: [/sha256/u],
    },
  ]);
});

const clientRows: [string, () => Promise<{ own: IssuedCertificate; anchors?: string }>, RegExp][] = [
  ["another CA's client", async () => ({ own: stranger.clientLeaf }), /^(?:unknown-issuer|bad-signature)$/u],
  [
    'an expired client',
    async () => {
      const own = await selfSignedClient({ lifetimeDays: 1, now: new Date(Date.now() - 30 * day) });
      return { own, anchors: own.certPem + world.clientLeaf.certPem };
    },
    /^expired$/u,
  ],
  [
    'a client whose time has not come',
    async () => {
      const own = await selfSignedClient({ now: new Date(Date.now() + 30 * day) });
      return { own, anchors: own.certPem + world.clientLeaf.certPem };
    },
    /^not-yet-valid$/u,
  ],
  [
    'a client with a server certificate',
    async () => ({ own: world.serverLeaf, anchors: world.authority.certPem }),
    /^wrong-purpose$/u,
  ],
];

for (const [who, make, rule] of clientRows) {
  for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
    t.test(`${who} is refused over ${version}, by name`, async t => {
      const { own, anchors = world.clientLeaf.certPem } = await make();
      const server = material('server', world.serverLeaf, anchors);
      const { log, lines } = recordingLog();
      const { listener, peers, refused, next } = await scene(t, world, {
        log,
        security: { t: 'tls', material: () => server, profile: { minVersion: version } },
      });
      const { certPem, keyPem } = own;
      const socket = rawClient(t, listener.address().port, {
        certPem,
        keyPem,
        ...(version === 'TLSv1.2' ? { maxVersion: version } : {}),
      });
      const end = ending(socket);
      await next();
      t.match(refused, [
        {
          rule,
          refusal: {
            subject: /./u,
            issuer: /./u,
            notBefore: /./u,
            notAfter: /./u,
            expected: [/./u],
            now: /./u,
          },
        },
      ]);
      t.equal(peers.length, 0);
      t.match(
        lines.filter(l => l.level === 40),
        [{ msg: 'peer refused', rule, subject: /./u, issuer: /./u }],
      );
      t.notMatch(JSON.stringify(lines), /PRIVATE KEY/u);
      await end;
    });
  }
}

t.test('a certificate that another CA issued under the same name is refused', async t => {
  const twin = await Authority.create();
  const leaf = await twin.issue('client', {});
  const real = await world.authority.issue('client', {});
  const server = material('server', world.serverLeaf, world.authority.certPem);
  const { listener, refused, next } = await scene(t, world, {
    security: { t: 'tls', material: () => server, profile },
  });
  const false_ = rawClient(t, listener.address().port, { certPem: leaf.certPem, keyPem: leaf.keyPem });
  const end = ending(false_);
  await next();
  t.match(refused, [{ rule: /bad-signature|unknown-issuer/u }]);
  await end;
  const { certPem, keyPem } = real;
  const good = { ...world, client: material('client', { certPem, keyPem }, world.authority.certPem) };
  const link = await dial(good, listener.address().port);
  link.close();
});

t.test(
  'of two CAs with one name, the clients of both are let in, and a refusal names its true rule',
  async t => {
    const twin = await Authority.create();
    const cas = [world.authority, twin];
    const extensions = (purpose: string) => [ext.notCa(), ext.purposes(purpose)];
    // One name and no key identifiers: nothing but the signature tells whose it is.
    const bare = [forgeCa('bare'), forgeCa('bare')];
    const never = forgeCa('bare');
    const anchors = [...cas, ...bare].map(ca => ca.certPem);
    for (const bundle of [anchors, anchors.toReversed()]) {
      const server = material('server', world.serverLeaf, bundle.join(''));
      const { listener, peers, refused, next } = await scene(t, world, {
        security: { t: 'tls', material: () => server, profile },
      });
      const { port } = listener.address();
      const good = [
        ...(await Promise.all(cas.map(ca => ca.issue('client', {})))),
        ...bare.map(ca => forgeLeaf('client', ca)),
      ];
      for (const { certPem, keyPem } of good) {
        const own = material('client', { certPem, keyPem }, world.authority.certPem);
        const link = await dial({ ...world, client: own }, port);
        await next();
        t.same(refused, [], 'let in');
        link.close();
      }
      t.equal(peers.length, good.length);
      const wrongPurpose = [
        ...(await Promise.all(cas.map(ca => ca.issue('server', { names: ['x'] })))),
        ...bare.map(ca => forge({ cn: 'leaf', by: ca, extensions: extensions(SERVER_AUTH) })),
      ];
      for (const [rule, leaves] of [
        ['wrong-purpose', wrongPurpose],
        ['unknown-issuer', [forgeLeaf('client', never)]],
      ] as const)
        for (const { certPem, keyPem } of leaves) {
          const socket = rawClient(t, port, { certPem, keyPem });
          const end = ending(socket);
          // OpenSSL's leftovers come out of the first read.
          socket.write('x');
          await next();
          t.match(refused.at(-1), { rule, refusal: { now: /^\d{4}-/u, notAfter: /./u } }, rule);
          await end;
        }
    }
  },
);

t.test('of two anchors with one name, both clients are let in', async t => {
  const a = await selfSignedClient();
  const b = await selfSignedClient();
  const server = material('server', world.serverLeaf, a.certPem + b.certPem);
  const { listener, peers, refused, next } = await scene(t, world, {
    security: { t: 'tls', material: () => server, profile },
  });
  for (const leaf of [a, b]) {
    const link = await dial(
      { ...world, client: material('client', leaf, world.authority.certPem) },
      listener.address().port,
    );
    await next();
    link.close();
  }
  t.equal(refused.length, 0);
  t.equal(peers.length, 2);
});

t.test('an anchor that is a leaf itself vouches for itself, as in Go', async t => {
  const leaf = await stranger.authority.issue('client', { subject: { O: 'pinned' } });
  const server = material('server', world.serverLeaf, leaf.certPem);
  const { listener, next, peers } = await scene(t, world, {
    security: { t: 'tls', material: () => server, profile },
  });
  const link = await dial(
    { ...world, client: material('client', leaf, world.authority.certPem) },
    listener.address().port,
  );
  await next();
  t.match(peers[0]?.peer.tls?.subject, /pinned/u);
  link.close();
});

/** The CA of the expired server, which only that row trusts. */
let expiredAnchors = '';
const dialRows: [string, () => Promise<TlsMaterial>, Record<string, unknown>][] = [
  [
    "another CA's server",
    async () => material('server', stranger.serverLeaf, world.clientLeaf.certPem),
    {
      code: 'ERR_LINK_PEER_REFUSED',
      refusal: { rule: /unknown-issuer|bad-signature/u, expected: [/sha256/u], now: /./u },
    },
  ],
  [
    'a server with another name',
    async () =>
      material(
        'server',
        await world.authority.issue('server', { names: ['podvm-other'] }),
        world.clientLeaf.certPem,
      ),
    {
      code: 'ERR_LINK_WRONG_NAME',
      message: /podvm-test/u,
      refusal: { rule: 'wrong-name' },
    },
  ],
  [
    'an expired server',
    async () => {
      const now = new Date(Date.now() - 20 * day);
      const authority = await Authority.create({ now: new Date(now.getTime() - 5 * day) });
      const leaf = await authority.issue('server', { names: [serverName], lifetimeDays: 1, now });
      expiredAnchors = authority.certPem;
      return material('server', leaf, world.clientLeaf.certPem, now);
    },
    { code: 'ERR_LINK_PEER_REFUSED', refusal: { rule: 'expired' } },
  ],
];

for (const [who, make, expected] of dialRows) {
  t.test(`${who} is refused by the dialler, permanently and in words`, async t => {
    expiredAnchors = '';
    const server = await make();
    const { listener } = await scene(t, world, { security: { t: 'tls', material: () => server, profile } });
    const anchors = expiredAnchors === '' ? world.authority.certPem : expiredAnchors;
    const w = { ...world, client: material('client', world.clientLeaf, anchors) };
    const refusal: unknown = await dial(w, listener.address().port).catch((error: unknown) => error);
    t.match(refusal, expected);
    t.match(refusal, { permanent: true });
  });
}

t.test('a certificate with the name only in its subject is not that name', async t => {
  const leaf = await world.authority.issue('server', { names: ['else'], subject: { CN: serverName } });
  const server = material('server', leaf, world.clientLeaf.certPem);
  const { listener } = await scene(t, world, { security: { t: 'tls', material: () => server, profile } });
  await t.rejects(dial(world, listener.address().port), { code: 'ERR_LINK_WRONG_NAME' });
});

t.test('a server that presents a client certificate is refused', async t => {
  const leaf = await world.authority.issue('client', { names: [serverName] });
  const server = createTlsServer({ cert: leaf.certPem, key: leaf.keyPem }, () => {});
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await t.rejects(dial(world, port), { code: 'ERR_LINK_PEER_REFUSED', refusal: { rule: 'wrong-purpose' } });
});

t.test('no session is resumed, whatever the client offers', async t => {
  for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
    const server = world.server;
    const { listener, peers, next } = await scene(t, world, {
      security: { t: 'tls', material: () => server, profile: { minVersion: version } },
    });
    const { certPem, keyPem } = world.clientLeaf;
    const options = {
      host: '127.0.0.1',
      port: listener.address().port,
      cert: certPem,
      key: keyPem,
      rejectUnauthorized: false,
      maxVersion: version,
    };
    const first = connectTls(options);
    let session: Buffer | undefined;
    first.on('session', s => (session = s));
    await once(first, 'secureConnect');
    await next();
    peers[0]?.socket.write('x');
    await once(first, 'data');
    session ??= first.getSession();
    first.destroy();
    const second = connectTls({ ...options, ...(session === undefined ? {} : { session }) });
    await once(second, 'secureConnect');
    t.equal(second.isSessionReused(), false, version);
    second.destroy();
  }
});

t.test('TLS 1.2 is refused unless it was asked for', async t => {
  const { listener, refused, next } = await scene(t);
  const { certPem, keyPem } = world.clientLeaf;
  const socket = rawClient(t, listener.address().port, { certPem, keyPem, maxVersion: 'TLSv1.2' });
  t.match(await ending(socket), /PROTOCOL_VERSION/u);
  await next();
  t.match(refused, [{ rule: 'handshake-failed', text: /no TLS version or cipher in common/u }]);
});

t.test('a link ends when the earlier of both certificates does', async t => {
  const leaf = await expiringLeaf(world, 4);
  const end = leaf.certificate.validTo;
  const server = material('server', leaf, world.clientLeaf.certPem);
  const { log, lines } = recordingLog();
  const { listener, peers, next } = await scene(t, world, {
    log,
    security: { t: 'tls', material: () => server, profile },
  });
  const link = await dial(world, listener.address().port);
  await next();
  t.equal(link.peer.expiresAt?.getTime(), Date.parse(end));
  await Promise.all([once(link.socket, 'close'), once(peers[0]?.socket ?? link.socket, 'close')]);
  t.ok(
    Math.abs(Date.now() - Date.parse(end)) < 3_000,
    `closed at ${new Date().toISOString()}, expiry ${end}`,
  );
  t.ok(lines.some(l => l.msg === 'link closed because a certificate expired'));
});

t.test('with the loud flag no client certificate is asked for', async t => {
  const server = material('server', world.serverLeaf, null);
  const { listener, peers, next } = await scene(t, world, {
    security: { t: 'tls-any-client', material: () => server, profile },
  });
  const socket = rawClient(t, listener.address().port);
  await once(socket, 'secureConnect');
  await next();
  t.match(peers[0]?.peer.tls, { subject: '', fingerprint: '' });
});

t.test('a reload is a swap: new material counts for the next connection and open links stay', async t => {
  let server = world.server;
  const { listener, peers } = await scene(t, world, {
    security: { t: 'tls', material: () => server, profile },
  });
  const before = await dial(world, listener.address().port);
  t.teardown(() => before.close());
  server = material('server', world.serverLeaf, stranger.clientLeaf.certPem);
  const { clientLeaf } = stranger;
  const other = { ...world, client: material('client', clientLeaf, world.authority.certPem) };
  const after = await dial(other, listener.address().port);
  t.teardown(() => after.close());
  peers[0]?.socket.write('still here');
  t.equal(String((await once(before.socket, 'data'))[0]), 'still here');
});
