// SPDX-License-Identifier: Apache-2.0
// What a client with a good certificate may try against sessions: each is refused with a reason or ended, memory is
// bounded, and the sessions of others go on.
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { selfSignedClient } from '@peerpod-tls/certs';
import {
  decodeControl,
  encodeAck,
  encodeEnd,
  encodeOpen,
  type Control,
  type Open,
  type Opened,
} from '../../src/session/wire.js';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import { Far, framesIn, requestFrame, responseFrame } from '../support/frames.js';
import { sessions, type Sessions } from '../support/sessions.js';
import { dial, listen, material, profile } from '../support/tls.js';

const instance = randomBytes(16);

/** A client that says what it likes. */
class Hand {
  readonly peer: VerifiedPeer;
  readonly far: Far;

  constructor(peer: VerifiedPeer) {
    this.peer = peer;
    this.far = new Far(peer.socket);
  }

  open(session: Buffer, o: Partial<Open> = {}): this {
    this.far.write(encodeOpen({ t: 'begin', session, instance, received: 0, ageMs: 0, ...o }));
    return this;
  }

  /** The answer to `open`. */
  async opened(): Promise<Opened> {
    await this.far.byteCount(39);
    const control = decodeControl(this.far.bytes.subarray(0, 39));
    if (control?.t !== 'opened') throw new Error('no answer');
    return control.opened;
  }

  /** What it was told after the answer, so far. */
  controls(): Control[] {
    return framesIn(this.far.bytes)
      .filter(({ streamId }) => streamId === 0)
      .map(({ type, flags, payload }) => {
        const header = Buffer.from([0, 0, 0, payload.length, 0, 0, 0, 0, type, flags]);
        const control = decodeControl(Buffer.concat([header, payload]));
        if (control === null) throw new Error('what is no control frame');
        return control;
      });
  }
}

async function hand(rig: Sessions, o: Parameters<Sessions['dial']>[0] = {}): Promise<Hand> {
  return new Hand(await rig.dial(o));
}

async function met(condition: () => boolean): Promise<void> {
  for (const until = performance.now() + 10_000; !condition(); await wait(5))
    if (performance.now() > until) throw new Error(`not in time: ${String(condition)}`);
}

/** With another client that the listening end trusts as well, by a certificate of another key. */
async function withTwoClients(
  t: Test,
  o: Parameters<typeof sessions>[1] = {},
): Promise<{ rig: Sessions; other: NonNullable<Parameters<Sessions['dial']>[0]> }> {
  const second = await selfSignedClient();
  const rig = await sessions(t, { ...o, alsoTrusted: second.certPem });
  const client = material('client', second, rig.world.authority.certPem);
  return { rig, other: { security: { t: 'tls', material: () => client, profile } } };
}

t.test(
  'a session is resumed by its own key and process only, and others do not learn that it is there',
  async t => {
    const { rig, other } = await withTwoClients(t);
    const id = randomBytes(16);
    const owner = (await hand(rig)).open(id);
    t.match(await owner.opened(), { t: 'new', received: 0, graceMs: 10_000 });
    const request = requestFrame(1);
    owner.far.write(request);
    const server = await rig.nth(1);
    await server.read(request.length);
    for (const [what, o, open] of [
      ['another key', other, {}],
      ['another key that resumes', other, { t: 'resume' }],
      ['another process', {}, { t: 'resume', instance: randomBytes(16) }],
      ['another process that begins', {}, { instance: randomBytes(16) }],
      ['an id that nobody has', {}, { t: 'resume', session: randomBytes(16) }],
    ] as const) {
      const thief = (await hand(rig, o)).open(id, open);
      t.match(await thief.opened(), { t: 'refused', reason: 'unknown', received: 0 }, what);
      await thief.far.ended();
    }
    const response = responseFrame(1);
    server.write(response);
    await met(() => owner.far.length >= 39 + response.length);
    t.equal(owner.far.over, false, 'the link of the owner stands');
    t.equal(rig.told.filter(told => told === 'refused unknown').length, 5);
  },
);

t.test('an offset from the future or from long ago is refused, and the session stays', async t => {
  const rig = await sessions(t);
  const id = randomBytes(16);
  const owner = (await hand(rig)).open(id);
  await owner.opened();
  const server = await rig.nth(1);
  const response = responseFrame(1, Buffer.alloc(1_000));
  server.write(response);
  await met(() => owner.far.length >= 39 + response.length);
  owner.far.write(encodeAck(500));
  await met(() => kept(rig) === response.length - 500);
  for (const received of [499, response.length + 1, Number.MAX_SAFE_INTEGER]) {
    const wrong = (await hand(rig)).open(id, { t: 'resume', received });
    t.match(await wrong.opened(), { t: 'refused', reason: 'offset' }, String(received));
    await wrong.far.ended();
  }
  t.equal(owner.far.over, false);
  const right = (await hand(rig)).open(id, { t: 'resume', received: 500 });
  t.match(await right.opened(), { t: 'resumed', received: 0 });
  await met(() => right.far.length === 39 + response.length - 500);
  t.strictSame(right.far.bytes.subarray(39), response.subarray(500));
});

const kept = ({ table, accepted }: Sessions): number => {
  const stream = accepted[0]?.end.stream;
  return stream !== undefined && 'keptBytes' in stream ? Number(stream.keptBytes) : table.awayBytes;
};

t.test(
  'an acknowledgement of what was never sent ends the session, and a lower one than before says nothing',
  async t => {
    const rig = await sessions(t);
    const owner = (await hand(rig)).open(randomBytes(16));
    await owner.opened();
    const server = await rig.nth(1);
    server.write(responseFrame(1, Buffer.alloc(100)));
    await met(() => owner.far.length > 139);
    owner.far.write(encodeAck(50), encodeAck(20));
    await wait(30);
    t.equal(server.closed, false);
    owner.far.write(encodeAck(10_000));
    await server.until(() => server.closed);
    t.match(server.error, {
      code: 'ERR_LINK_SESSION_LOST',
      message: /broke the session: it acknowledged 10000 bytes of/,
    });
    t.strictSame(rig.table.counts(), { linked: 0, away: 0 });
  },
);

t.test(
  'what does not begin with the session it is for is turned away, and so is what says nothing',
  async t => {
    const rig = await sessions(t, { openMs: 200 });
    for (const first of [
      requestFrame(1),
      encodeAck(0),
      encodeEnd(true),
      Buffer.from('ffffffff00000000e000', 'hex'),
    ]) {
      const one = await hand(rig);
      one.far.write(first);
      await one.far.ended();
    }
    t.strictSame(rig.told, Array(4).fill('refused protocol'));
    const silent = await hand(rig);
    await silent.far.ended();
    t.equal(rig.accepted.length, 0);
    const twice = (await hand(rig)).open(randomBytes(16));
    await twice.opened();
    twice.open(randomBytes(16));
    await twice.far.ended();
    t.match((await rig.nth(1)).error, { message: /it opened a session within one/ });
  },
);

t.test(
  'the link that is there ends first when its session is resumed, and nothing it still brings counts',
  async t => {
    const rig = await sessions(t);
    const id = randomBytes(16);
    const first = (await hand(rig)).open(id);
    await first.opened();
    const server = await rig.nth(1);
    const one = requestFrame(1);
    first.far.write(one);
    await server.read(one.length);
    const second = (await hand(rig)).open(id, { t: 'resume', received: 0 });
    t.match(await second.opened(), { t: 'resumed', received: one.length });
    await first.far.ended();
    first.far.write(requestFrame(3));
    const other = requestFrame(5);
    second.far.write(other);
    t.strictSame(await server.read(one.length + other.length), Buffer.concat([one, other]));
    t.strictSame(rig.table.counts(), { linked: 1, away: 0 });
  },
);

t.test(
  'of too many sessions without a link those of the client that has most are ended, its oldest first',
  async t => {
    // Fewer than the default: each is a handshake.
    const { rig, other } = await withTwoClients(t, { maxAway: 20 });
    const lose = async (o: Parameters<Sessions['dial']>[0]): Promise<void> => {
      const one = (await hand(rig, o)).open(randomBytes(16));
      await one.opened();
      one.peer.socket.destroy();
      await met(() => rig.table.counts().linked === 0);
    };
    await lose(other);
    for (let n = 0; n < 40; n += 1) await lose({});
    t.strictSame(rig.table.counts(), { linked: 0, away: 20 });
    t.equal(rig.told.filter(told => told === 'lost').length, 21);
    t.notOk(
      rig.accepted[0]?.closed,
      'the only one of the other client has not ended, though it is the oldest',
    );
    await met(() => rig.accepted[1]?.closed === true);
    t.match(rig.accepted[1]?.error, { message: /made room for newer ones/ });
    t.notOk(rig.accepted.at(-1)?.closed);
  },
);

t.test(
  'another process of the same client ends what an earlier one left, and not what still stands',
  async t => {
    const rig = await sessions(t);
    const left = (await hand(rig)).open(randomBytes(16));
    await left.opened();
    const stands = (await hand(rig)).open(randomBytes(16));
    await stands.opened();
    left.peer.socket.destroy();
    await met(() => rig.table.counts().away === 1);
    const next = (await hand(rig)).open(randomBytes(16), { instance: randomBytes(16) });
    t.match(await next.opened(), { t: 'new' });
    t.strictSame(rig.table.counts(), { linked: 2, away: 0 });
    t.match((await rig.nth(1)).error, { message: /its client was started anew/ });
    t.equal(stands.far.over, false);
  },
);

t.test('what is kept for sessions without a link is bounded: the writers are held', async t => {
  const rig = await sessions(t, { maxAwayBytes: 300_000 });
  const ends = [];
  for (let n = 1; n <= 3; n += 1) {
    const one = (await hand(rig)).open(randomBytes(16));
    await one.opened();
    ends.push(await rig.nth(n));
    one.peer.socket.destroy();
    await met(() => rig.table.counts().away === n);
  }
  const frame = responseFrame(1, Buffer.alloc(50_000));
  let written = 0;
  for (let round = 0; round < 20; round += 1)
    for (const end of ends)
      if (end.end.stream.writableLength === 0) {
        end.write(frame);
        written += frame.length;
      }
  t.ok(written >= 300_000 && written < 300_000 + frame.length, `${written} bytes`);
  t.equal(rig.table.awayBytes, written);
});

t.test('a flood of redials is one session still, and leaves nothing behind', async t => {
  const rig = await sessions(t);
  const id = randomBytes(16);
  const own = await rig.begin();
  const request = requestFrame(1);
  own.write(request);
  await (await rig.nth(1)).read(request.length);
  const first = (await hand(rig)).open(id);
  await first.opened();
  for (let n = 0; n < 20; n += 1)
    await Promise.all(
      Array.from({ length: 5 }, async () => {
        const one = await hand(rig);
        one.open(id, { t: 'resume' });
        await one.opened().catch(() => {});
      }),
    );
  t.strictSame(rig.table.counts(), { linked: 2, away: 0 });
  t.equal(rig.accepted.length, 2);
  const response = responseFrame(1);
  (await rig.nth(1)).write(response);
  t.strictSame(await own.read(response.length), response, 'and the other session does not notice');
});

t.test('a listening end that speaks nonsense ends the session of the one that dialled', async t => {
  const rig = await sessions(t);
  const peer = await rig.dial();
  const client = await rig.begin({
    peer,
    redial: async () => {
      throw new Error('it is not dialled again');
    },
  });
  client.write(requestFrame(1));
  const server = await rig.nth(1);
  await server.read(1);
  const { stream } = server.end;
  // Through the stream: what stands between its frames is the session's own.
  stream.write(encodeAck(1_000_000), () => {});
  await client.until(() => client.closed);
  t.match(client.error, { code: 'ERR_LINK_SESSION_LOST', message: /acknowledged 1000000 bytes/ });
});

t.test('who has to show no certificate has no sessions, since nobody could tell whose they are', async t => {
  const rig = await sessions(t);
  const listener = await listen(rig.world, {
    session: true,
    security: { t: 'tls-any-client', material: () => rig.world.server, profile },
    onPeer: () => {},
  });
  t.teardown(() => listener.close());
  const peer = await dial(rig.world, listener.address().port, { session: true });
  t.equal(peer.peer.tls?.session, false);
  peer.close();
});
