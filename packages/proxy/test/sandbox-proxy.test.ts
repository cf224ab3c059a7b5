// SPDX-License-Identifier: Apache-2.0
// A sandbox's socket over links that are cut: resumed where the VM's side agrees to that, dialled anew where it does not.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import {
  listenLink,
  SessionTable,
  startRelay,
  type LentReads,
  type Relay,
  type VerifiedPeer,
} from '@peerpod-tls/link';
import { dialAgent } from '../../../test/kit/shim.js';
import { healthyAgent } from '../../link/test/support/agents.js';
import { Cutter } from '../../link/test/support/cutter.js';
import { makeWorld, profile, serverName, silentLog } from '../../link/test/support/tls.js';
import { InProcessDataPlane } from '../src/in-process.js';
import type { ProxyEvent } from '../src/spec.js';

interface Stage {
  readonly cutter: Cutter;
  readonly table: SessionTable;
  readonly events: ProxyEvent[];
  readonly socket: string;
}

/** A VM's side that resumes links, or is of a time before that; and a proxy's socket for it. */
async function stage(t: Test, session: boolean): Promise<Stage> {
  const world = await makeWorld();
  const agent = await healthyAgent(t);
  const relays: Relay[] = [];
  const relay = (downstream: VerifiedPeer | LentReads): void =>
    void relays.push(
      startRelay({ downstream, openUpstream: agent.open, rewrites: [], redial: null, log: silentLog }),
    );
  const table = new SessionTable({ graceMs: 10_000, onSession: relay, log: silentLog });
  const listener = await listenLink({
    host: '127.0.0.1',
    port: 0,
    security: { t: 'tls', material: () => world.server, profile },
    session,
    onPeer: peer => (peer.peer.tls?.session === true ? table.accept(peer) : relay(peer)),
    log: silentLog,
  });
  t.teardown(async () => {
    table.close();
    await listener.close();
  });
  const cutter = await Cutter.open(t, listener.address().port);
  const events: ProxyEvent[] = [];
  const plane = new InProcessDataPlane({
    security: () => ({ t: 'tls', material: () => world.client, profile }),
    onEvent: event => void events.push(event),
    log: silentLog,
  });
  // Short: a socket path has at most 107 bytes.
  const directory = mkdtempSync(path.join(tmpdir(), 'ppx-'));
  t.teardown(async () => {
    await plane.drain(AbortSignal.abort());
    for (const one of relays) one.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const spec = {
    sandbox: 'one',
    pod: 'default/nginx',
    socket: path.join(directory, 'agent.ttrpc'),
    addresses: ['127.0.0.1'],
    port: cutter.port,
    tls: { material: 'automatic', serverName },
    rewrites: { directVolumes: '/nowhere' },
    limits: { redialBudgetMs: 5_000 },
  };
  await plane.awaitAgent(spec, { deadlineMs: 5_000, signal: new AbortController().signal });
  await plane.open(spec);
  return { cutter, table, events, socket: spec.socket };
}

/** What became of links that were up. */
function ofLinks(events: readonly ProxyEvent[]): readonly ProxyEvent[] {
  const others = new Set<ProxyEvent['t']>(['handshake', 'connected', 'disconnected']);
  return events.filter(event => !others.has(event.t));
}

t.test('a link that is cut is resumed under the shim’s connection, and told as that', async t => {
  const { cutter, table, events, socket } = await stage(t, true);
  const shim = await dialAgent(socket);
  await shim.health.Check({});
  t.strictSame(table.counts(), { linked: 1, away: 0 }, 'a check of health before needs no session');
  const away = cutter.takeAway(300);
  t.match(await shim.health.Check({}), { status: 1 });
  await away;
  const told = ofLinks(events);
  t.match(told, [{ t: 'resumed', cause: 'reset' }]);
  t.ok(told.every(event => event.t === 'resumed' && event.ms >= 300));
  shim.client.close();
  for (let n = 0; n < 400 && table.counts().linked > 0; n += 1) await wait(5);
  t.strictSame(table.counts(), { linked: 0, away: 0 }, 'and ends with it');
});

t.test('where the other side knows no sessions a cut link is dialled anew', async t => {
  const { cutter, events, socket } = await stage(t, false);
  const shim = await dialAgent(socket);
  await shim.health.Check({});
  cutter.cut();
  t.match(await shim.health.Check({}), { status: 1 });
  const told = ofLinks(events);
  t.match(told, [{ t: 'lost', cause: 'reset' }, { t: 'redialled' }]);
  shim.client.close();
});
