// SPDX-License-Identifier: Apache-2.0
// Resident memory of each pair: idle, and per idle link at 100 and 1,000 links. Every link carried one call, so it is a
// link and not only a connection in a backlog.
import { StatusCode, TtrpcClient } from '@peerpod-tls/ttrpc';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ground, Options } from './ground.js';
import { figure, residentBytes } from './measure.js';
import type { Peer } from './peers.js';
import { listening, type Programs } from './processes.js';
import { row, type Row } from './report.js';

const settleMs = 1500;

/** One shim: a connection and a call that the agent answers, if only with Unimplemented. */
async function openLink(path: string): Promise<TtrpcClient> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const client = new TtrpcClient(socket);
  await client
    .call('grpc.Health', 'Check', new Uint8Array(), { timeoutMs: 30_000 })
    .catch((error: unknown) => {
      const status =
        typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined;
      if (status !== StatusCode.unimplemented) throw error;
    });
  return client;
}

export async function memoryFigures(
  programs: Programs,
  ground: Ground,
  peers: readonly Peer[],
  options: Options,
): Promise<Row[]> {
  const results = {
    idle: new Map<string, number[]>(),
    at100: new Map<string, number[]>(),
    at1000: new Map<string, number[]>(),
  };
  const idleBack = new Map<string, number[]>();
  for (let round = 0; round < Math.min(options.rounds, 3); round += 1) {
    for (const peer of peers.filter(candidate => candidate.acceptsMany)) {
      const place = await ground.place(`memory-${peer.name}-${round}`);
      const upstream = peer.startBack(programs, place);
      await listening({ host: '127.0.0.1', port: place.port });
      const downstream = peer.startFront(programs, place);
      await listening({ path: place.shimSocket });
      const both = (): number => residentBytes(upstream.pid) + residentBytes(downstream.pid);
      const links = [await openLink(place.shimSocket)];
      await sleep(settleMs);
      const idle = both();
      idleBack.set(peer.name, [...(idleBack.get(peer.name) ?? []), residentBytes(upstream.pid) / 2 ** 20]);
      const grow = async (count: number): Promise<number> => {
        while (links.length < count + 1) links.push(await openLink(place.shimSocket));
        await sleep(settleMs);
        return (both() - idle) / count / 2 / 1024;
      };
      const at100 = await grow(100);
      const at1000 = await grow(1000);
      const add = (map: Map<string, number[]>, value: number): unknown =>
        map.set(peer.name, [...(map.get(peer.name) ?? []), value]);
      add(results.idle, idle / 2 ** 20);
      add(results.at100, at100);
      add(results.at1000, at1000);
      for (const link of links) link.close();
      await programs.end(downstream);
      await programs.end(upstream);
    }
  }
  return [
    row('resident memory, back half idle', 'MiB', false, idleBack, figure),
    row('resident memory, both halves idle', 'MiB', false, results.idle, figure),
    row('memory per idle link and half, 100 links', 'KiB', false, results.at100, figure),
    row('memory per idle link and half, 1,000 links', 'KiB', false, results.at1000, figure),
  ];
}
