// SPDX-License-Identifier: Apache-2.0
// By what a link was lost: told on both sides of real TLS, by the time anybody hears that it is closed.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { LinkError } from '../../src/errors.js';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import { lossCause, LOSS_CAUSES } from '../../src/liveness/loss.js';
import { linkErrorFrom } from '../../src/tls/node-error.js';
import { dial, expiringLeaf, listen, makeWorld, material, profile } from '../support/tls.js';

const world = await makeWorld();

interface Ends {
  readonly dialler: VerifiedPeer;
  readonly listener: VerifiedPeer;
  /** The cable between them: the end that the dialler is plugged into, and the one in the listener. */
  readonly near: Socket;
  readonly far: Socket;
}

/** Two verified ends with a cable between them, so that somebody can write into it. */
async function ends(t: Test, server = world.server): Promise<Ends> {
  let welcome: (peer: VerifiedPeer) => void = () => {};
  const welcomed = new Promise<VerifiedPeer>(resolve => (welcome = resolve));
  const listening = await listen(world, {
    security: { t: 'tls', material: () => server, profile },
    onPeer: peer => {
      t.teardown(() => void peer.socket.destroy());
      welcome(peer);
    },
  });
  let join: (cable: Pick<Ends, 'near' | 'far'>) => void = () => {};
  const joined = new Promise<Pick<Ends, 'near' | 'far'>>(resolve => (join = resolve));
  const middle = createServer({ allowHalfOpen: true }, near => {
    const far = connect({ ...listening.address(), allowHalfOpen: true });
    near.pipe(far).pipe(near);
    near.on('error', () => {});
    far.on('error', () => {});
    t.teardown(() => {
      near.destroy();
      far.destroy();
    });
    join({ near, far });
  }).listen(0, '127.0.0.1');
  await once(middle, 'listening');
  t.teardown(() => middle.close());
  t.teardown(() => listening.close());
  const address = middle.address();
  const dialler = await dial(world, address !== null && typeof address === 'object' ? address.port : 0);
  t.teardown(() => void dialler.socket.destroy());
  const listener = await welcomed;
  // With TLS 1.3 a server still writes when its client is done: a reset before that is over would look like an end.
  dialler.socket.write('ping');
  await once(listener.socket, 'data');
  listener.socket.write('pong');
  await once(dialler.socket, 'data');
  return { dialler, listener, ...(await joined) };
}

/** What the end says of its loss at the moment it is closed. */
function atClose({ socket, failure }: VerifiedPeer): Promise<string> {
  return new Promise(resolve => void socket.once('close', () => resolve(lossCause(failure()))));
}

/** Resets a TCP connection at once; Node's own way sends an orderly end before. */
function resetNow(socket: Socket): void {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) throw new Error('internal error: no TCP handle');
  const reset: unknown = Reflect.get(handle, 'reset');
  if (typeof reset !== 'function') throw new Error('internal error: this Node.js cannot reset a handle');
  Reflect.apply(reset, handle, [() => socket.destroy()]);
}

t.test('an end without an error is the other side hanging up', async t => {
  const { dialler, listener } = await ends(t);
  const told = once(dialler.socket, 'end');
  listener.close();
  await told;
  t.equal(dialler.failure(), null);
  t.equal(lossCause(dialler.failure()), 'closed');
});

t.test('a reset is told by either side', async t => {
  const { dialler, listener, near, far } = await ends(t);
  const told = Promise.all([atClose(dialler), atClose(listener)]);
  resetNow(near);
  resetNow(far);
  t.same(await told, ['reset', 'reset']);
});

t.test('bytes that are no record of this link are told as such', async t => {
  const { dialler, listener, near, far } = await ends(t);
  const told = Promise.all([atClose(dialler), atClose(listener)]);
  const garbage = Buffer.from('17030300110000000000000000000000000000000000', 'hex');
  near.write(garbage);
  far.write(garbage);
  t.same(await told, ['tls', 'tls']);
});

t.test('an expiry is told by both', async t => {
  const leaf = await expiringLeaf(world, 4);
  const { dialler, listener } = await ends(t, material('server', leaf, world.clientLeaf.certPem));
  t.same(await Promise.all([atClose(dialler), atClose(listener)]), ['expired', 'expired']);
  t.match(dialler.failure(), { code: 'ERR_LINK_EXPIRED', permanent: false });
});

t.test('an end at the hour of expiry is an expiry, by the clock of the other side', async t => {
  const leaf = await expiringLeaf(world, 5);
  const { dialler, listener } = await ends(t, material('server', leaf, world.clientLeaf.certPem));
  await sleep(Date.parse(leaf.certificate.validTo) - Date.now() - 1_000);
  const told = once(dialler.socket, 'end');
  listener.close();
  await told;
  t.equal(lossCause(dialler.failure()), 'expired');
});

t.test('an expiry is that of the wall clock, however it is stepped', async t => {
  const { mock } = await import('node:test');
  const leaf = await expiringLeaf(world, 3_600);
  const end = Date.parse(leaf.certificate.validTo);
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() });
  t.teardown(() => mock.timers.reset());
  const { dialler } = await ends(t, material('server', leaf, world.clientLeaf.certPem));
  const closed = once(dialler.socket, 'close');
  const start = Date.now();
  // Stepped back, and then an hour passes: not yet, by this clock.
  mock.timers.setTime(start - 7_200_000);
  for (let minute = 0; minute < 61; minute += 1) mock.timers.tick(60_000);
  t.notOk(dialler.socket.destroyed);
  mock.timers.setTime(end + 1_000);
  t.notOk(dialler.socket.destroyed);
  mock.timers.tick(60_000);
  mock.timers.reset();
  await closed;
  t.match(dialler.failure(), { code: 'ERR_LINK_EXPIRED' });
});

t.test('what a socket reports becomes a word of the closed set', async t => {
  const from = (code: string, phase: 'dial' | 'open' = 'open'): string =>
    lossCause(linkErrorFrom(Object.assign(new Error(code), { code }), { remote: 'vm:1', phase }));
  const words = {
    ECONNRESET: 'reset',
    EPIPE: 'reset',
    ETIMEDOUT: 'timed-out',
    EHOSTUNREACH: 'unroutable',
    ECONNREFUSED: 'closed-port',
    ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'refused',
    ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'refused',
    ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: 'tls',
    ERR_SSL_WRONG_VERSION_NUMBER: 'tls',
    EMADEUP: 'closed',
  };
  t.same(Object.fromEntries(Object.keys(words).map(code => [code, from(code)])), words);
  t.equal(lossCause(new LinkError('ERR_LINK_STALLED', 'x')), 'stalled');
  t.equal(lossCause(new LinkError('ERR_LINK_WRONG_NAME', 'x')), 'refused');
  t.equal(lossCause(new LinkError('ERR_LINK_CLOSED', 'x')), 'closed');
  const strange: unknown[] = [
    {},
    'text',
    7,
    { code: 5 },
    { code: 'toString' },
    { code: '__proto__' },
    new Error('x'),
  ];
  for (const error of strange) t.equal(lossCause(error), 'other');
  for (const word of Object.values(words)) t.ok((LOSS_CAUSES as readonly string[]).includes(word));
});
