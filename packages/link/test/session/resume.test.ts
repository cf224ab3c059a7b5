// SPDX-License-Identifier: Apache-2.0
// Sessions over real TLS and a network that is cut: nothing is lost, doubled or reordered, and an end is told.
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { dataFrame, requestFrame, responseFrame } from '../support/frames.js';
import { Random } from '../support/random.js';
import { sessions, type End } from '../support/sessions.js';
import { slabs } from '../../src/relay/slabs.js';
import { SessionStream } from '../../src/session/session-stream.js';

const MIB = 1024 * 1024;

function kept(end: End): number {
  const { stream } = end.end;
  if (!(stream instanceof SessionStream)) throw new Error('no session');
  return stream.keptBytes;
}

/** Waits for what somebody else brings about. */
async function met(condition: () => boolean, ms = 10_000): Promise<void> {
  for (const until = performance.now() + ms; !condition(); await wait(5))
    if (performance.now() > until) throw new Error(`not within ${ms} ms: ${String(condition)}`);
}

t.test('the first call goes out with the handshake, and acknowledgements empty both ends', async t => {
  const rig = await sessions(t);
  const client = await rig.begin();
  const request = requestFrame(1, { payload: Buffer.alloc(3_000, 1) });
  client.write(request);
  const server = await rig.nth(1);
  t.strictSame(await server.read(request.length), request);
  const response = responseFrame(1, Buffer.alloc(100, 2));
  server.write(response);
  t.strictSame(await client.read(response.length), response);
  t.ok(kept(client) > 0, 'it is kept until it was acknowledged');
  await met(() => kept(client) === 0 && kept(server) === 0);
  t.strictSame(rig.table.counts(), { linked: 1, away: 0 });
});

t.test('after a cut both ends go on, and nobody notices', async t => {
  const rig = await sessions(t);
  const told: string[] = [];
  const client = await rig.begin({
    onResumed: cause => void told.push(cause),
  });
  const one = requestFrame(1);
  client.write(one);
  const server = await rig.nth(1);
  await server.read(one.length);
  rig.cutter.cut();
  const answer = responseFrame(1, Buffer.from('written while away'));
  await met(() => rig.table.counts().away === 1 || rig.told.includes('resumed'));
  server.write(answer);
  const two = requestFrame(3);
  client.write(two);
  t.strictSame(await client.read(answer.length), answer);
  t.strictSame(await server.read(one.length + two.length), Buffer.concat([one, two]));
  t.strictSame(told, ['reset']);
  t.strictSame(rig.told, ['away', 'resumed']);
  t.equal(rig.accepted.length, 1);
});

t.test('a frame of 3 MiB that is cut in the middle arrives whole, in either direction', async t => {
  for (const direction of ['up', 'down'] as const) {
    const rig = await sessions(t);
    const client = await rig.begin();
    const hello = requestFrame(1);
    client.write(hello);
    const server = await rig.nth(1);
    await server.read(hello.length);
    const large = dataFrame(1, new Random(3).bytes(3 * MIB));
    const cut = rig.cutter.cutAfter(direction, 1.5 * MIB);
    const [from, to, before] = direction === 'up' ? [client, server, hello.length] : [server, client, 0];
    from.write(large);
    await cut;
    const read = await to.read(before + large.length);
    t.ok(read.subarray(before).equals(large), direction);
    t.equal(rig.cutter.cuts, 1);
  }
});

t.test('two streams at once over 20 cuts at random places lose, double and reorder nothing', async t => {
  for (const seed of [1, 2]) {
    const random = new Random(seed);
    const rig = await sessions(t);
    const client = await rig.begin();
    client.write(requestFrame(1));
    const server = await rig.nth(1);
    const sent: Record<'up' | 'down', Buffer[]> = { up: [requestFrame(1)], down: [] };
    let written = 0;
    const pour = async (end: End, direction: 'up' | 'down'): Promise<void> => {
      const own = new Random(seed * 10 + (direction === 'up' ? 1 : 2));
      while (rig.cutter.cuts < 20 || written < 8 * MIB) {
        const size = own.chance(0.1) ? own.below(300_000) : own.below(3_000);
        const frame = dataFrame(1 + 2 * own.below(50), Buffer.alloc(size, own.below(256)));
        sent[direction].push(frame);
        written += frame.length;
        // As a relay does it: in pieces, some of them slabs that it gives away.
        for (let at = 0; at < frame.length;) {
          const piece = frame.subarray(at, at + 1 + own.below(65_536));
          if (end.end.stream instanceof SessionStream && own.chance(0.3)) {
            const slab = slabs.take();
            piece.copy(slab);
            end.end.stream.writeSlab(slab, piece.length);
          } else end.write(piece);
          at += piece.length;
        }
        if (own.chance(0.05)) await wait(1);
        while (end.end.stream.writableLength > 0) await wait(1);
      }
    };
    const pouring = new AbortController();
    const cutting = (async (): Promise<void> => {
      while (!pouring.signal.aborted && rig.cutter.cuts < 20) {
        const direction = random.chance(0.5) ? 'up' : 'down';
        if (random.chance(0.5))
          await Promise.race([rig.cutter.cutAfter(direction, random.below(2 * MIB)), wait(500)]);
        else await wait(random.below(30)).then(() => rig.cutter.cut());
        if (random.chance(0.3)) await rig.cutter.takeAway(random.below(150));
      }
    })();
    await Promise.all([pour(client, 'up'), pour(server, 'down')]);
    pouring.abort();
    await cutting;
    const up = Buffer.concat(sent.up);
    const down = Buffer.concat(sent.down);
    t.ok((await server.read(up.length)).equals(up), `seed ${seed}: ${up.length} bytes up`);
    t.ok((await client.read(down.length)).equals(down), `seed ${seed}: ${down.length} bytes down`);
    t.ok(rig.cutter.cuts >= 20, `${rig.cutter.cuts} cuts`);
    await met(() => kept(client) === 0 && kept(server) === 0);
    client.end.stream.destroy();
    await met(() => rig.table.counts().linked === 0);
  }
});

t.test(
  'a cut before the first answer loses nothing, since the other end knows it never saw the session',
  async t => {
    const rig = await sessions(t);
    const peer = await rig.dial();
    // Nothing of what the client says now arrives.
    const cut = rig.cutter.cutAfter('up', 1);
    const { begin } = rig;
    const client = await begin({ peer });
    const request = requestFrame(1);
    client.write(request);
    await cut;
    const server = await rig.nth(1);
    t.strictSame(await server.read(request.length), request);
    t.equal(rig.accepted.length, 1);
  },
);

t.test('a cut after the session began and before its answer arrived resumes it', async t => {
  const rig = await sessions(t);
  const peer = await rig.dial();
  rig.cutter.holdDown();
  const client = await rig.begin({ peer });
  const request = requestFrame(1);
  client.write(request);
  const server = await rig.nth(1);
  await server.read(request.length);
  rig.cutter.cut();
  const answer = responseFrame(1);
  server.write(answer);
  t.strictSame(await client.read(answer.length), answer);
  t.strictSame(server.bytes, request, 'the request came once');
  t.equal(rig.accepted.length, 1);
});

t.test('a session that was forgotten meanwhile is not begun again', async t => {
  const rig = await sessions(t, { graceMs: 100 });
  const peer = await rig.dial();
  rig.cutter.holdDown();
  const client = await rig.begin({ peer });
  client.write(requestFrame(1));
  await (await rig.nth(1)).read(1);
  await rig.cutter.takeAway(300);
  await client.until(() => client.closed);
  t.match(client.error, {
    code: 'ERR_LINK_SESSION_LOST',
    message: /was not resumed: it keeps no such session/,
  });
  t.equal(rig.accepted.length, 1, 'the request is not run a second time');
});

t.test('away for longer than it is kept, both ends say so', async t => {
  const rig = await sessions(t, { graceMs: 200 });
  const client = await rig.begin();
  client.write(requestFrame(1));
  const server = await rig.nth(1);
  await met(() => kept(client) === 0);
  rig.cutter.away = true;
  rig.cutter.cut();
  await Promise.all([client.until(() => client.closed), server.until(() => server.closed)]);
  t.match(client.error, {
    code: 'ERR_LINK_SESSION_LOST',
    message: /was away for 0\.2 s, which is how long a cut link can be resumed: /,
    hint: /network between/,
  });
  t.match(server.error, { code: 'ERR_LINK_SESSION_LOST', message: /not resumed within the 0\.2 s/ });
  t.strictSame(rig.told, ['away', 'lost']);
  t.strictSame(rig.table.counts(), { linked: 0, away: 0 });
});

t.test('an end is told once everything has arrived, and a half-closed session still answers', async t => {
  const rig = await sessions(t);
  const client = await rig.begin();
  const request = requestFrame(1);
  client.write(request);
  const server = await rig.nth(1);
  await server.read(request.length);
  client.end.stream.end();
  await server.until(() => server.ended);
  t.equal(server.closed, false);
  rig.cutter.cut();
  const answer = responseFrame(1);
  server.write(answer);
  t.strictSame(await client.read(answer.length), answer, 'also over another cut');
  client.end.stream.destroy();
  await server.until(() => server.closed);
  t.equal(server.error, null);
  t.strictSame(rig.table.counts(), { linked: 0, away: 0 });
});

t.test(
  'what the listening end wrote last is delivered though its user has left, and the link is away',
  async t => {
    const rig = await sessions(t);
    const client = await rig.begin();
    client.write(requestFrame(1));
    const server = await rig.nth(1);
    await met(() => kept(client) === 0);
    rig.cutter.away = true;
    rig.cutter.cut();
    await met(() => rig.table.counts().away === 1);
    const answer = responseFrame(1, Buffer.from('goodbye'));
    server.write(answer);
    server.end.stream.end();
    server.end.stream.destroy();
    await server.until(() => server.closed);
    rig.cutter.away = false;
    t.strictSame(await client.read(answer.length), answer);
    await client.until(() => client.ended);
    client.end.stream.destroy();
    await met(() => rig.table.counts().linked === 0 && rig.table.counts().away === 0);
  },
);

t.test('a reader who holds does not keep acknowledgements from the writer behind it', async t => {
  const rig = await sessions(t);
  const client = await rig.begin();
  const hello = requestFrame(1);
  client.write(hello);
  const server = await rig.nth(1);
  await server.read(hello.length);
  server.end.stream.pause();
  const frame = dataFrame(1, Buffer.alloc(256 * 1024, 5));
  const count = 48;
  const pour = async (end: End): Promise<void> => {
    for (let n = 0; n < count; n += 1) {
      end.write(frame);
      // The listening end reads nothing until it has written everything: it needs acknowledgements to get there.
      if (end === server) while (end.end.stream.writableLength > 0) await wait(1);
    }
  };
  await Promise.all([pour(client), pour(server)]);
  server.end.stream.resume();
  t.equal((await client.read(count * frame.length)).length, count * frame.length);
  t.equal(
    (await server.read(hello.length + count * frame.length)).length,
    hello.length + count * frame.length,
  );
});

t.test('a writer is held once too much is unacknowledged, at the end of a frame', async t => {
  const rig = await sessions(t);
  const client = await rig.begin();
  client.write(requestFrame(1));
  const server = await rig.nth(1);
  await met(() => kept(client) === 0);
  rig.cutter.away = true;
  rig.cutter.cut();
  const { stream } = client.end;
  if (!(stream instanceof SessionStream)) throw new Error('no session');
  await met(() => stream.away);
  const frame = dataFrame(1, Buffer.alloc(64 * 1024));
  let written = 0;
  while (stream.writableLength === 0) {
    client.write(frame);
    written += 1;
  }
  t.ok(
    written * frame.length >= 4 * MIB && written * frame.length < 4.2 * MIB,
    `${written * frame.length} bytes`,
  );
  let told = 0;
  stream.onRoom = () => void (told += 1);
  stream.write(frame);
  rig.cutter.away = false;
  await met(() => stream.writableLength === 0);
  t.ok(told > 0, 'and is told when it may go on');
  const all = requestFrame(1).length + (written + 1) * frame.length;
  t.equal((await server.read(all)).length, all);
});
