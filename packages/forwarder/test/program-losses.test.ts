// SPDX-License-Identifier: Apache-2.0
// By what links broke, as the real program counts it; and that an adaptor which hangs up is no loss.
import { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { healthService } from '@peerpod-tls/agent-protocol';
import { LOSS_CAUSES } from '@peerpod-tls/link';
import type { VerifiedPeer } from '@peerpod-tls/link';
import { TtrpcClient, clientOf } from '@peerpod-tls/ttrpc';
import t from 'tap';
import type { Test } from 'tap';

import { Program } from './support/program.js';
import { SERVER_NAME, dial, makeWorld, startAgent } from './support/world.js';
import type { World } from './support/world.js';

const DAY_MS = 86_400_000;

interface Stage {
  readonly world: World;
  readonly port: number;
  readonly program: Program;
  link(): Promise<VerifiedPeer>;
  /** The causes that were counted, and how often. */
  losses(): Promise<Readonly<Record<string, number>>>;
}

async function stage(
  t: Test,
  configuration: (world: World) => Promise<Readonly<Record<string, unknown>>> = async () => ({}),
): Promise<Stage> {
  const world = await makeWorld(t);
  world.configure(await configuration(world));
  await startAgent(t, world);
  const program = new Program(t, [...world.argv, '-status-address', '127.0.0.1:0']);
  const port = await program.port();
  const { address } = await program.said('status listened');
  let links = 0;
  return {
    world,
    port,
    program,
    async link() {
      const peer = await dial(world, port);
      peer.socket.resume();
      // With TLS 1.3 a client is done before its server is.
      await program.nth('link opened', links);
      links += 1;
      t.teardown(() => void peer.socket.destroy());
      return peer;
    },
    async losses() {
      const text = await (await fetch(`http://${String(address)}/metrics`)).text();
      const lines = text.matchAll(/^peerpod_forwarder_link_losses_total\{cause="([a-z-]+)"\} (\d+)$/gmu);
      const all = [...lines].map(([, cause = '', count]) => [cause, Number(count)] as const);
      t.strictSame(
        all.map(([cause]) => cause),
        LOSS_CAUSES,
        'every cause has its line from the start',
      );
      return Object.fromEntries(all.filter(([, count]) => count > 0));
    },
  };
}

/** Resets the TCP connection below a TLS one at once; Node's own way sends an orderly end before. */
function resetNow(socket: Socket): void {
  const below: unknown = Reflect.get(socket, '_parent');
  const handle: unknown = below instanceof Socket ? Reflect.get(below, '_handle') : null;
  if (typeof handle !== 'object' || handle === null) throw new Error('internal error: no TCP below TLS');
  const reset: unknown = Reflect.get(handle, 'reset');
  if (typeof reset !== 'function') throw new Error('internal error: this Node.js cannot reset a handle');
  Reflect.apply(reset, handle, [() => socket.destroy()]);
}

t.test('an adaptor that hangs up is no loss, a connection that is reset is one', async t => {
  const { program, link, losses } = await stage(t);
  const polite = await link();
  polite.close();
  const first = await program.nth('link closed', 0);
  t.match(first, { why: 'downstream-closed' });
  t.notOk('cause' in first);
  t.strictSame(await losses(), {});

  const broken = await link();
  // With TLS 1.3 a server still writes when its client is done; a reset then would look like an end.
  t.match(await clientOf(healthService, new TtrpcClient(broken.socket)).Check({}), { status: 1 });
  resetNow(broken.socket);
  t.match(await program.nth('link closed', 1), { why: 'downstream-closed', cause: 'reset' });
  t.strictSame(await losses(), { reset: 1 });
});

t.test('an adaptor that does not speak ttrpc is counted as that', async t => {
  const { program, link, losses } = await stage(t);
  const peer = await link();
  peer.socket.write(Buffer.from('16030100c8010000c40303', 'hex'));
  t.match(await program.said('link closed'), { why: 'downstream-protocol', cause: 'protocol' });
  t.strictSame(await losses(), { protocol: 1 });
});

t.test('a link that outlives its certificate is counted as that', async t => {
  const { world, port, program, losses } = await stage(t, async world => {
    const now = new Date(Date.now() + 4_000 - DAY_MS);
    const leaf = await world.authority.issue('server', { names: [SERVER_NAME], lifetimeDays: 1, now });
    return { 'tls-server-cert': leaf.certPem, 'tls-server-key': leaf.keyPem };
  });
  // Not by our own dialler, which would end it at the same moment.
  const { certPem: cert, keyPem: key } = world.client;
  const ca = world.authority.certPem;
  const socket = connectTls({ port, host: '127.0.0.1', servername: SERVER_NAME, ca, cert, key });
  t.teardown(() => socket.destroy());
  socket.on('error', () => {});
  t.match(await program.said('link closed'), {
    why: 'downstream-closed',
    cause: 'expired',
    reason: /expired/,
  });
  t.strictSame(await losses(), { expired: 1 });
});
