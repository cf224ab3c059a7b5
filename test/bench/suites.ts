// SPDX-License-Identifier: Apache-2.0
// Looks at what each side really does: the suite that its front and its back agree on, read from the ServerHello that
// passes between them, and how many tickets its back sends a client that would take some. Measures nothing.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import type { Bench } from './ground.js';
import { runLoad } from './pairs.js';
import { SUITE, type Peer, type Place } from './peers.js';
import { listening } from './processes.js';

const SUITES = new Map([
  [0x1301, 'TLS_AES_128_GCM_SHA256'],
  [0x1302, 'TLS_AES_256_GCM_SHA384'],
  [0x1303, 'TLS_CHACHA20_POLY1305_SHA256'],
]);

/** The suite in a ServerHello at the head of what a server said (RFC 8446, 4.1.3); null where there is none. */
export function suiteOf(said: Buffer): string | null {
  const HANDSHAKE = 22;
  const SERVER_HELLO = 2;
  // Record header 5, message header 4, version 2, random 32: then a session id with its length before it.
  const idAt = 43;
  if (said.length <= idAt || said[0] !== HANDSHAKE || said[5] !== SERVER_HELLO) return null;
  const suiteAt = idAt + 1 + (said[idAt] ?? 0);
  if (said.length < suiteAt + 2) return null;
  const number = said.readUInt16BE(suiteAt);
  return SUITES.get(number) ?? `suite 0x${number.toString(16)}`;
}

/** What a side was seen to do. */
export interface Seen {
  readonly name: string;
  readonly suite: string | null;
  readonly tickets: number;
}

/** Passes bytes on to a port and keeps the first that come back. */
async function recorder(port: number): Promise<{ port: number; said: () => Buffer; close: () => void }> {
  let said = Buffer.alloc(0);
  const open = new Set<net.Socket>();
  const server = net.createServer(socket => {
    const onward = net.connect(port, '127.0.0.1');
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
    }
    onward.on('data', (chunk: Buffer) => {
      if (said.length < 512) said = Buffer.concat([said, chunk]);
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    said: () => said,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** Tickets a server sends after a handshake, as Node's client tells of each. */
async function ticketsOf(place: Place): Promise<number> {
  let tickets = 0;
  const socket = tls.connect({
    host: '127.0.0.1',
    port: place.port,
    servername: place.serverName,
    cert: readFileSync(place.client.cert),
    key: readFileSync(place.client.key),
    ca: readFileSync(place.ca),
    minVersion: 'TLSv1.3',
  });
  socket.on('session', () => (tickets += 1));
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => {});
  socket.resume();
  await sleep(100);
  socket.destroy();
  return tickets;
}

async function look(bench: Bench, side: Peer): Promise<Seen> {
  const place = await bench.ground.place(`suite-${side.name.replaceAll(' ', '-')}`);
  const upstream = side.startBack(bench.programs, place);
  await listening({ host: '127.0.0.1', port: place.port });
  const between = await recorder(place.port);
  const downstream = side.startFront(bench.programs, { ...place, port: between.port });
  await listening({ path: place.shimSocket });
  try {
    await runLoad(bench, place.shimSocket, null, { name: '', concurrency: 1, sizes: [128] }, 0.5);
    return { name: side.name, suite: suiteOf(between.said()), tickets: await ticketsOf(place) };
  } finally {
    await bench.programs.end(downstream);
    await bench.programs.end(upstream);
    between.close();
  }
}

/** Looks at every side; what is not as it should be is noted, since figures are compared all the same. */
export async function lookAtSuites(bench: Bench): Promise<Seen[]> {
  const all: Seen[] = [];
  for (const side of bench.sides) {
    const seen = await look(bench, side);
    all.push(seen);
    if (seen.suite !== SUITE)
      bench.note(`${seen.name} speaks ${seen.suite ?? 'no TLS that was understood'}, not ${SUITE}`);
    if (seen.tickets > 0) bench.note(`${seen.name} sends ${seen.tickets} session tickets`);
  }
  return all;
}
