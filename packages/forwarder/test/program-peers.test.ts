// SPDX-License-Identifier: Apache-2.0
// Who else may knock: every row starts from the real program and ends with the rightful adaptor being served.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createSecureContext, connect as connectTls } from 'node:tls';
import { Authority, selfSignedClient } from '@peerpod-tls/certs';
import {
  HEADER_LENGTH,
  FrameType,
  MAX_MESSAGE_LENGTH,
  TtrpcClient,
  encodeFrame,
  encodeRequest,
} from '@peerpod-tls/ttrpc';
import t from 'tap';
import type { Test } from 'tap';

import { Program } from './support/program.js';
import { SERVER_NAME, check, clientSecurity, dial, makeWorld, startAgent } from './support/world.js';
import type { World } from './support/world.js';

interface Stage {
  readonly world: World;
  readonly program: Program;
  readonly port: number;
}

async function stage(t: Test, ...flags: string[]): Promise<Stage> {
  const world = await makeWorld(t);
  await startAgent(t, world);
  const program = new Program(t, [...world.argv, ...flags]);
  return { world, program, port: await program.port() };
}

async function tcp(t: Test, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

async function closed(socket: Socket): Promise<void> {
  socket.resume();
  // Not events.once: it would reject on the error that precedes the close of a refused connection.
  if (!socket.closed) await new Promise(resolve => socket.once('close', resolve));
}

t.test('a client that may not come in is refused with rule, subject, issuer, anchors and clock', async t => {
  const { world, program, port } = await stage(t);
  const stranger = await Authority.create({ subject: { O: 'stranger' } });
  const past = new Date(Date.now() - 10 * 86_400_000);
  const long = { lifetimeDays: 30, now: past };
  const expiredAuthority = await Authority.create(long);
  const expired = await expiredAuthority.issue('client', { lifetimeDays: 1, now: past });
  const rows = [
    ['no-certificate', undefined, {}],
    ['unknown-issuer', await stranger.issue('client', {}), { issuer: /stranger/ }],
    ['unknown-issuer', await selfSignedClient({ subject: { O: 'impostor' } }), { subject: /impostor/ }],
    ['wrong-purpose', await world.authority.issue('server', { names: ['x'] }), {}],
    ['expired', expired, { notAfter: /./ }],
  ] as const;
  // Anchors for all of them, so that only the rule at hand is broken.
  world.configure({
    'tls-client-ca': [world.client.certPem, world.authority.certPem, expiredAuthority.certPem].join(''),
  });
  program.child.kill('SIGHUP');
  await program.said('service reloaded');
  for (const [index, [rule, certificate, fields]] of rows.entries()) {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      servername: SERVER_NAME,
      ca: world.authority.certPem,
      secureContext: createSecureContext({
        ca: world.authority.certPem,
        ...(certificate && { cert: certificate.certPem, key: certificate.keyPem }),
      }),
    });
    socket.on('error', () => {});
    socket.write(encodeFrame({ streamId: 1, type: FrameType.request }, request()));
    await closed(socket);
    const line = await program.nth('peer refused', index);
    t.equal(line['rule'], rule);
    t.match(
      line,
      { level: 'warn', remote: /^127\.0\.0\.1:\d+$/, text: /./, now: /^\d{4}-/, ...fields },
      rule,
    );
    if (rule === 'unknown-issuer')
      t.match(JSON.stringify(line['expected']), /cloud-api-adaptor/, 'and whom it expects');
  }
  await check(world, port);
  t.same(
    program.lines().filter(line => line.msg === 'link opened').length,
    1,
    'only the adaptor got through',
  );
});

t.test('plain ttrpc, HTTP and garbage on the TLS port are recognised', async t => {
  const { world, program, port } = await stage(t);
  for (const [bytes, text] of [
    [encodeFrame({ streamId: 1, type: FrameType.request }, request()), /speaks-plain-ttrpc.*plain ttrpc/],
    [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /speaks-http/],
    [Buffer.from('SSH-2.0-OpenSSH_9\r\n'), /not-tls/],
    [Buffer.from('16030100050100000100', 'hex'), /handshake-failed|hung-up/],
  ] as const) {
    const socket = await tcp(t, port);
    socket.end(bytes);
    await closed(socket);
    t.ok(
      await program.said('connection refused', said => text.test(`${said['rule']} ${said['text']}`)),
      String(text),
    );
  }
  await check(world, port);
});

t.test('a TLS hello on a plain port is named, and ends', async t => {
  const { world, program, port } = await stage(t, '-disable-tls');
  await t.rejects(check(world, port, clientSecurity(world)), { code: /^ERR_LINK_/ });
  await program.said('link closed', line => /TLS/.test(String(line['reason'])));
  await check(world, port, { t: 'plain' });
});

t.test('a port scanner leaves no trace above debug', async t => {
  const { world, program, port } = await stage(t);
  for (let n = 0; n < 5; n += 1) (await tcp(t, port)).resetAndDestroy();
  await check(world, port);
  t.same(
    program.lines().filter(line => line.level === 'warn' || line.level === 'error'),
    [],
  );
});

t.test('a thousand connections that never speak cost no one their link', async t => {
  const { world, port } = await stage(t);
  const silent = await Promise.all(Array.from({ length: 1000 }, () => tcp(t, port)));
  await check(world, port);
  t.ok(silent.filter(socket => !socket.closed).length <= 256, 'all but the newest handshakes were dropped');
});

t.test(
  'frames that the protocol does not allow end at the forwarder, and the link lives or ends as ttrpc says',
  async t => {
    const { world, program, port } = await stage(t);
    const oversize = await dial(world, port);
    const client = new TtrpcClient(oversize.socket);
    const header = Buffer.alloc(HEADER_LENGTH);
    // By hand, since our own writer refuses it.
    header.writeUInt32BE(MAX_MESSAGE_LENGTH + 1, 0);
    header.writeUInt32BE(1, 4);
    header.writeUInt8(FrameType.request, 8);
    const raw = await dial(world, port);
    raw.socket.write(header);
    for (let left = MAX_MESSAGE_LENGTH + 1; left > 0; left -= 65_536) {
      if (!raw.socket.write(Buffer.alloc(Math.min(left, 65_536)))) await once(raw.socket, 'drain');
    }
    const [answer] = await once(raw.socket, 'data');
    t.match(answer.toString('latin1'), /oversize|larger|exceed|limit|4194304/i, 'answered on its stream');
    raw.socket.write(encodeFrame({ streamId: 3, type: FrameType.request }, request()));
    t.match(await once(raw.socket, 'data'), [Buffer], 'and the link lives');
    raw.close();

    const garbage = await dial(world, port);
    garbage.socket.write(Buffer.alloc(64, 0xff));
    garbage.socket.end();
    await closed(garbage.socket);
    const half = await dial(world, port);
    half.socket.end(header.subarray(0, 5));
    await closed(half.socket);
    t.equal(
      (await client.call('grpc.Health', 'Check', new Uint8Array(0))).length > 0,
      true,
      'the first link never noticed',
    );
    t.equal(program.child.exitCode, null);
  },
);

function request(): Buffer {
  return encodeRequest({
    service: 'grpc.Health',
    method: 'Check',
    payload: new Uint8Array(0),
    timeoutNano: 0n,
    metadata: [],
  });
}
