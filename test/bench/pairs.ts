// SPDX-License-Identifier: Apache-2.0
// A pair that runs: both halves of a side, started and ended together, with what it has cost so far; and one load on it.
import { ttrpcProgram, type Bench } from './ground.js';
import { cpuUs, residentBytes } from './measure.js';
import type { Peer, Place } from './peers.js';
import { listening, type Program } from './processes.js';

export interface Pair {
  readonly name: string;
  readonly place: Place;
  readonly upstream: Program;
  readonly downstream: Program;
}

/** Starts both halves of a side in a place of their own. */
export async function startPair(
  bench: Bench,
  side: Peer,
  purpose: string,
  change: (place: Place) => Place = place => place,
): Promise<Pair> {
  const place = change(await bench.ground.place(`${purpose}-${side.name.replaceAll(' ', '-')}`));
  const upstream = side.startBack(bench.programs, place);
  await listening({ host: '127.0.0.1', port: place.port });
  const downstream = side.startFront(bench.programs, place);
  for (const path of [...(place.moreSockets ?? []), place.shimSocket]) await listening({ path });
  return { name: side.name, place, upstream, downstream };
}

export async function endPair(bench: Bench, pair: Pair): Promise<void> {
  await bench.programs.end(pair.downstream);
  await bench.programs.end(pair.upstream);
}

/** Everybody in turn, each round another one first. */
export function inTurn<T>(all: readonly T[], round: number): T[] {
  const first = all.length === 0 ? 0 : round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

export const residentOf = (pair: Pair): number =>
  residentBytes(pair.upstream.pid) + residentBytes(pair.downstream.pid);

export interface Load {
  readonly name: string;
  readonly concurrency: number;
  /** Bytes of the calls, taken in turn. */
  readonly sizes: readonly number[];
}

const KIB = 1024;

/** What a pod's calls are like: mostly small, some with a file or a chunk of a log in them. */
const MIXED = [64, 128, 128, 512, 4 * KIB, 128, 16 * KIB, 64 * KIB];

export const LOADS: readonly Load[] = [
  { name: '1 call at a time, 128 B', concurrency: 1, sizes: [128] },
  { name: '16 calls, 128 B', concurrency: 16, sizes: [128] },
  { name: '64 calls, 128 B', concurrency: 64, sizes: [128] },
  { name: '16 calls, 64 B to 64 KiB', concurrency: 16, sizes: MIXED },
  { name: '4 calls, 64 KiB', concurrency: 4, sizes: [64 * KIB] },
  { name: '4 calls, 1 MiB', concurrency: 4, sizes: [1024 * KIB] },
];

/** What one load came to. Times in microseconds; CPU of the pair's halves per call, and of both per MiB of payload. */
export interface Outcome {
  readonly rps: number;
  readonly p50us: number;
  readonly p99us: number;
  readonly cpuBack: number;
  readonly cpuFront: number;
  readonly cpuPerMiB: number;
}

/** Puts a load on a socket; `pair` is whose CPU is looked at, none for the agent itself. */
export async function runLoad(
  bench: Bench,
  socket: string,
  pair: Pair | null,
  load: Load,
  seconds: number = bench.seconds,
): Promise<Outcome> {
  const [program, ...role] = ttrpcProgram(bench.ground, 'load');
  const used = (): [number, number] =>
    pair === null ? [0, 0] : [cpuUs(pair.upstream.pid), cpuUs(pair.downstream.pid)];
  const before = used();
  const args = [
    ...role,
    `-socket=${socket}`,
    `-concurrency=${load.concurrency}`,
    `-size=${load.sizes.join(',')}`,
    `-seconds=${seconds}`,
    `-warmup=${Math.min(0.2, seconds / 4)}`,
  ];
  let answer;
  let after;
  if (bench.ground.cProgram === null) {
    answer = await bench.programs.answerOf(program, args);
    after = used();
  } else {
    const held = await bench.programs.answered(program, [...args, '-hold=1']);
    answer = held.answer;
    after = used();
    await bench.programs.end(held.program);
  }
  const number = (key: string): number => answer[key] ?? Number.NaN;
  const [upstream, downstream] =
    pair === null ? [Number.NaN, Number.NaN] : [after[0] - before[0], after[1] - before[1]];
  return {
    rps: number('rps'),
    p50us: number('p50us'),
    p99us: number('p99us'),
    cpuBack: upstream / number('calls'),
    cpuFront: downstream / number('calls'),
    cpuPerMiB: (upstream + downstream) / (number('bytes') / 2 ** 20),
  };
}
