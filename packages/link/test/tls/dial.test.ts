// SPDX-License-Identifier: Apache-2.0
// What a dialler is told in each of the situations it can meet, down to an agent that is down behind a good link.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import t, { type Test } from 'tap';
import { checkHealth } from '../../src/liveness/health.js';
import { dialUntilHealthy } from '../../src/liveness/dial-until-healthy.js';
import { dialLink } from '../../src/tls/dial.js';
import type { LinkError } from '../../src/errors.js';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import { linkErrorFrom } from '../../src/tls/node-error.js';
import { startRelay } from '../../src/relay/relay.js';
import { requestFrame } from '../support/frames.js';
import {
  dial,
  listen,
  makeWorld,
  material,
  profile,
  serverName,
  silentLog,
  weakMaterial,
} from '../support/tls.js';
import { healthyAgent } from '../support/agents.js';

const world = await makeWorld();
const never = new AbortController().signal;

async function port(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return port;
}

/** The error a promise rejects with; undefined when it does not. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(() => undefined).catch((error: unknown) => error);

t.test('a closed port, a hopeless address and a silent host are told apart', async t => {
  const server = createServer();
  const number = await port(t, server);
  server.close();
  await once(server, 'close');
  t.match(await failure(dial(world, number)), {
    code: 'ERR_LINK_CLOSED_PORT',
    permanent: false,
    message: /nobody listens on 127/u,
  });
  t.match(await failure(dial(world, 1, { host: 'no-such-host.invalid' })), {
    code: 'ERR_LINK_UNROUTABLE',
    permanent: false,
  });
});

t.test('a listener that never finishes the handshake is a timeout', async t => {
  const number = await port(
    t,
    createServer(socket => socket.on('error', () => {}).resume()),
  );
  const error = await failure(dial(world, number, { handshakeTimeoutMs: 50 }));
  t.match(error, { code: 'ERR_LINK_TIMEOUT', message: /handshake within 50 ms/u, permanent: false });
  t.match(error, { hint: /said nothing at all: a forwarder without TLS does that.*-disable-tls/u });
  const until = await failure(dial(world, number, { signal: AbortSignal.timeout(50) }));
  t.match(until, { code: 'ERR_LINK_TIMEOUT', hint: /-disable-tls/u });
});

t.test('a peer that speaks no TLS is named as such', async t => {
  const number = await port(
    t,
    createServer(socket => socket.on('error', () => {}).write(requestFrame(1))),
  );
  t.match(await failure(dial(world, number)), {
    code: 'ERR_LINK_NOT_TLS',
    permanent: true,
    hint: /-disable-tls/u,
  });
});

t.test(
  'a certificate of our own that OpenSSL refuses is a failed dial and not the end of the process',
  async t => {
    const listener = await listen(world, { onPeer: peer => peer.close() });
    t.teardown(() => listener.close());
    const weak = { ...weakMaterial(t, world), anchorsPem: world.client.anchorsPem };
    const security = { t: 'tls', material: () => weak, profile } as const;
    t.match(await failure(dial(world, listener.address().port, { security })), {
      code: 'ERR_LINK_OWN_MATERIAL',
      message: /key too small/u,
    });
  },
);

t.test('what throws once the handshake is done is a failed dial too', async t => {
  const listener = await listen(world, { onPeer: peer => peer.close() });
  t.teardown(() => listener.close());
  // Read for the first time by what verifies the server.
  const client = Object.defineProperty({ ...world.client }, 'anchors', {
    get: () => {
      throw new Error('no anchors today');
    },
  });
  const security = { t: 'tls', material: () => client, profile } as const;
  t.match(await failure(dial(world, listener.address().port, { security })), {
    message: /no anchors today/u,
  });
});

t.test('a plain dial that meets TLS says so', async t => {
  const number = await port(
    t,
    // The alert with which Go's server answers what is no handshake.
    createServer(socket => socket.on('error', () => {}).end(Buffer.from('15030100020246', 'hex'))),
  );
  const link = await dial(world, number, { security: { t: 'plain' } });
  t.match(await failure(checkHealth(link, { timeoutMs: 5_000, signal: never })), {
    code: 'ERR_LINK_PEER_SPEAKS_TLS',
    permanent: true,
    hint: /-disable-tls/u,
  });
});

t.test('a peer that hangs up in the handshake is worth another try', async t => {
  const number = await port(
    t,
    createServer(socket => socket.destroy()),
  );
  t.match(await failure(dial(world, number)), { code: 'ERR_LINK_CLOSED', permanent: false });
});

t.test('an abort ends the dial at every stage', async t => {
  const number = await port(
    t,
    createServer(socket => socket.on('error', () => {}).resume()),
  );
  const abort = new AbortController();
  const dialled = failure(dial(world, number, { signal: abort.signal }));
  setImmediate(() => abort.abort());
  t.match(await dialled, { code: 'ERR_LINK_CLOSED' });
  t.match(await failure(dial(world, number, { signal: abort.signal })), { code: 'ERR_LINK_CLOSED' });
});

t.test('an agent that answers through both relays is healthy, and the tries are counted', async t => {
  const agent = await healthyAgent(t);
  const listener = await listen(world, {
    onPeer: downstream =>
      void startRelay({ downstream, openUpstream: agent.open, rewrites: [], redial: null, log: silentLog }),
  });
  t.teardown(() => listener.close());
  const seen: LinkError[] = [];
  const { port } = listener.address();
  const healthy = await dialUntilHealthy({
    host: '127.0.0.1',
    port,
    security: { t: 'tls', material: () => world.client, profile },
    serverName,
    signal: never,
    deadlineMs: 5_000,
    onAttempt: (_n, error) => void seen.push(error),
    log: silentLog,
  });
  t.match(healthy, { attempts: 1, peer: { tls: { names: [serverName] } } });
  t.same(seen, []);
});

function until(port: number, o: { deadlineMs?: number; checkTimeoutMs?: number; errors?: LinkError[] } = {}) {
  return dialUntilHealthy({
    host: '127.0.0.1',
    port,
    security: { t: 'tls', material: () => world.client, profile },
    serverName,
    signal: never,
    deadlineMs: o.deadlineMs ?? 5_000,
    ...(o.checkTimeoutMs === undefined ? {} : { checkTimeoutMs: o.checkTimeoutMs }),
    onAttempt: (_n, error) => void o.errors?.push(error),
    log: silentLog,
  });
}

t.test(
  'a server that refuses our certificate after the handshake is found out, and ends the loop',
  async t => {
    const stranger = await makeWorld();
    const server = material('server', world.serverLeaf, stranger.clientLeaf.certPem);
    const listener = await listen(world, {
      security: { t: 'tls', material: () => server, profile },
      onPeer: () => t.fail('let in'),
    });
    t.teardown(() => listener.close());
    const link = await dial(world, listener.address().port);
    t.ok(link, 'with TLS 1.3 the dial itself succeeds');
    link.close();
    const errors: LinkError[] = [];
    const error = await failure(until(listener.address().port, { errors }));
    t.match(error, {
      code: 'ERR_LINK_TLS_REFUSED',
      message: /refused our certificate O=cloud-api-adaptor \(sha256 /u,
      hint: /anchors/u,
    });
    t.equal(errors.length, 2, 'once could be a restart; twice in a row is an answer');
  },
);

t.test('a silent agent and one that is down are told apart', async t => {
  const mute = await listen(world, { onPeer: peer => void peer.socket.resume() });
  t.teardown(() => mute.close());
  const silent = await failure(until(mute.address().port, { checkTimeoutMs: 50, deadlineMs: 120 }));
  t.match(silent, {
    code: 'ERR_LINK_TTRPC_SILENT',
    message: /within 120 ms and (1 try|\d+ tries); the last: .*nobody answered/u,
  });
  const down = await listen(world, {
    onPeer: downstream =>
      void startRelay({
        downstream,
        openUpstream: async () => {
          throw new Error('the kata-agent is not there');
        },
        rewrites: [],
        redial: null,
        log: silentLog,
      }),
  });
  t.teardown(() => down.close());
  const link = await dial(world, down.address().port);
  const error = await failure(checkHealth(link, { timeoutMs: 5_000, signal: never }));
  t.match(error, { code: /ERR_LINK_AGENT_DOWN|ERR_LINK_TLS_REFUSED/u });
});

t.test('a plain dialler at a TLS port learns what it met', async t => {
  const listener = await listen(world, { onPeer: () => t.fail('let in') });
  t.teardown(() => listener.close());
  const link = await dialLink({
    host: '127.0.0.1',
    port: listener.address().port,
    security: { t: 'plain' },
    serverName,
    signal: never,
    log: silentLog,
  });
  const error = await failure(checkHealth(link, { timeoutMs: 5_000, signal: never }));
  t.match(error, { code: 'ERR_LINK_CLOSED', hint: /-disable-tls/u });
});

t.test('the dial loop waits for a listener that comes late', async t => {
  const agent = await healthyAgent(t);
  const probe = createServer();
  const number = await port(t, probe);
  probe.close();
  await once(probe, 'close');
  const errors: LinkError[] = [];
  const dialled = until(number, { errors });
  while (errors.length < 1) await new Promise(setImmediate);
  const listener = await listen(world, {
    port: number,
    onPeer: downstream =>
      void startRelay({ downstream, openUpstream: agent.open, rewrites: [], redial: null, log: silentLog }),
  });
  t.teardown(() => listener.close());
  const { attempts } = await dialled;
  t.ok(attempts > 1);
  t.match(errors, [{ code: 'ERR_LINK_CLOSED_PORT' }]);
});

t.test('a relay refuses a network socket that nobody verified', async t => {
  const server = createServer(socket => {
    t.teardown(() => socket.destroy());
  });
  const socket = connect(await port(t, server), '127.0.0.1');
  await once(socket, 'connect');
  t.teardown(() => socket.destroy());
  const options = { openUpstream: async () => socket, rewrites: [], redial: null, log: silentLog };
  t.throws(() => startRelay({ downstream: socket, ...options }), { code: 'ERR_LINK_UNVERIFIED' });
});

t.test('OpenSSL alerts and Node codes have one translation each', async t => {
  const rows: [string, 'dial' | 'handshake' | 'open', string][] = [
    ['ECONNREFUSED', 'dial', 'ERR_LINK_CLOSED_PORT'],
    ['EHOSTUNREACH', 'dial', 'ERR_LINK_UNROUTABLE'],
    ['ENETUNREACH', 'dial', 'ERR_LINK_UNROUTABLE'],
    ['ETIMEDOUT', 'dial', 'ERR_LINK_TIMEOUT'],
    ['ECONNRESET', 'open', 'ERR_LINK_CLOSED'],
    ['ECONNRESET', 'handshake', 'ERR_LINK_CLOSED'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'handshake', 'ERR_LINK_NOT_TLS'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'open', 'ERR_LINK_TLS_REFUSED'],
    ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'open', 'ERR_LINK_TLS_REFUSED'],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'open', 'ERR_LINK_TLS_REFUSED'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'handshake', 'ERR_LINK_TLS_REFUSED'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'handshake', 'ERR_LINK_NO_COMMON_TLS'],
    ['ERR_SSL_NO_SHARED_CIPHER', 'handshake', 'ERR_LINK_NO_COMMON_TLS'],
    ['ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC', 'open', 'ERR_LINK_CLOSED'],
  ];
  for (const [code, phase, ours] of rows) {
    const made = linkErrorFrom(Object.assign(new Error(code), { code }), { remote: '10.0.0.7:15150', phase });
    t.equal(made.code, ours, code);
    t.match(made.message, /10\.0\.0\.7:15150/u);
    t.equal(linkErrorFrom(made, { remote: 'x', phase }), made, 'ours stays as it is');
  }
});

t.test('a verified peer that is closed twice is closed', async t => {
  const peers: VerifiedPeer[] = [];
  const listener = await listen(world, { onPeer: peer => void peers.push(peer) });
  t.teardown(() => listener.close());
  const link = await dial(world, listener.address().port);
  link.close();
  link.close();
  await once(link.socket, 'close');
  t.equal(link.failure(), null);
  while (peers.length < 1) await new Promise(setImmediate);
  peers[0]?.socket.resume();
  peers[0]?.socket.destroy();
});
