// SPDX-License-Identifier: Apache-2.0
// Requests per second and latency through each pair, rounds interleaved so that everybody meets the same machine.
import { figure } from './measure.js';
import { ttrpcProgram, type Ground, type Options } from './ground.js';
import type { Peer } from './peers.js';
import { answerOf, listening, type Programs } from './processes.js';
import { row, type Row } from './report.js';

const loads = [
  { name: '1 call at a time, 128 B', concurrency: 1, size: 128 },
  { name: '16 calls, 128 B', concurrency: 16, size: 128 },
  { name: '64 calls, 128 B', concurrency: 64, size: 128 },
  { name: '4 calls, 64 KiB', concurrency: 4, size: 65_536 },
  { name: '4 calls, 1 MiB', concurrency: 4, size: 1_048_576 },
] as const;

function flagsOf(load: (typeof loads)[number], socket: string, seconds: number): string[] {
  return [
    `-socket=${socket}`,
    `-concurrency=${load.concurrency}`,
    `-size=${load.size}`,
    `-seconds=${seconds}`,
  ];
}

export async function throughputFigures(
  programs: Programs,
  ground: Ground,
  peers: readonly Peer[],
  options: Options,
): Promise<Row[]> {
  const sockets = new Map([['no proxy', ground.agentSocket]]);
  const started = [];
  for (const peer of peers) {
    const place = await ground.place(peer.name);
    started.push(peer.startBack(programs, place));
    await listening({ host: '127.0.0.1', port: place.port });
    started.push(peer.startFront(programs, place));
    await listening({ path: place.shimSocket });
    sockets.set(peer.name, place.shimSocket);
  }
  const [program, ...role] = ttrpcProgram(ground, 'load');
  // A pod's sidecars run for days: what is compiled just in time is compiled before anything is counted.
  for (const socket of sockets.values()) {
    for (const load of loads) await answerOf(program, [...role, ...flagsOf(load, socket, 1)]);
  }
  const rows: Row[] = [];
  for (const load of loads) {
    const samples = {
      rps: new Map<string, number[]>(),
      p50us: new Map<string, number[]>(),
      p99us: new Map<string, number[]>(),
    };
    for (let round = 0; round < options.rounds; round += 1) {
      const order = [...sockets];
      order.push(...order.splice(0, round % order.length));
      for (const [name, socket] of order) {
        const answer = await answerOf(program, [...role, ...flagsOf(load, socket, options.seconds)]);
        for (const [key, map] of Object.entries(samples))
          map.set(name, [...(map.get(name) ?? []), answer[key] ?? Number.NaN]);
      }
    }
    rows.push(
      row(load.name, 'requests/s', true, samples.rps, figure),
      row(`${load.name}: p50`, 'µs', false, samples.p50us, figure),
      row(`${load.name}: p99`, 'µs', false, samples.p99us, figure),
    );
  }
  for (const one of started) await programs.end(one);
  return rows;
}
