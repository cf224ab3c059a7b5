// SPDX-License-Identifier: Apache-2.0
// Requests per second, latency and CPU through each pair, rounds interleaved so that everybody meets the same machine;
// and, as growth, requests per second over the calls under way.
import type { Bench, Measure } from './ground.js';
import { Samples } from './measure.js';
import { endPair, inTurn, LOADS, runLoad, startPair, type Load, type Outcome, type Pair } from './pairs.js';
import { row, type Row } from './report.js';

interface Target {
  readonly name: string;
  readonly socket: string;
  readonly pair: Pair | null;
}

/** Every side's pair, warmed up by each load: a pod's sidecars run for days, so what is compiled just in time is. */
async function targets(bench: Bench, purpose: string, loads: readonly Load[]): Promise<Target[]> {
  const all: Target[] = [];
  for (const side of bench.sides) {
    const pair = await startPair(bench, side, purpose);
    all.push({ name: side.name, socket: pair.place.shimSocket, pair });
  }
  all.push({ name: 'no proxy', socket: bench.ground.agentSocket, pair: null });
  for (const { socket, pair } of all)
    for (const load of loads) await runLoad(bench, socket, pair, load, Math.min(0.5, bench.seconds));
  return all;
}

async function end(bench: Bench, all: readonly Target[]): Promise<void> {
  for (const { pair } of all) if (pair !== null) await endPair(bench, pair);
}

/** The rows of a load from everybody's outcomes; CPU per MiB says nothing where calls are small. */
export function rowsOf(
  name: string,
  outcomes: ReadonlyMap<string, readonly Outcome[]>,
  perMiB: boolean,
): Row[] {
  const pick = (of: (outcome: Outcome) => number): Samples => {
    const samples = new Samples();
    for (const [side, list] of outcomes) for (const outcome of list) samples.add(side, of(outcome));
    return samples;
  };
  const rows = [
    row(
      name,
      'requests/s',
      true,
      pick(o => o.rps),
    ),
    row(
      `${name}: p50`,
      'µs',
      false,
      pick(o => o.p50us),
    ),
    row(
      `${name}: p99`,
      'µs',
      false,
      pick(o => o.p99us),
    ),
    row(
      `${name}: CPU per call, both halves`,
      'µs',
      false,
      pick(o => o.cpuBack + o.cpuFront),
    ),
    row(
      `${name}: CPU per call, forwarder's half`,
      'µs',
      false,
      pick(o => o.cpuBack),
    ),
    row(
      `${name}: CPU per call, adaptor's half`,
      'µs',
      false,
      pick(o => o.cpuFront),
    ),
  ];
  if (perMiB)
    rows.push(
      row(
        `${name}: CPU per MiB, both halves`,
        'µs',
        false,
        pick(o => o.cpuPerMiB),
      ),
    );
  return rows;
}

export const throughputFigures: Measure = async bench => {
  const all = await targets(bench, 'load', LOADS);
  const rows: Row[] = [];
  for (const load of LOADS) {
    const outcomes = new Map<string, Outcome[]>();
    for (let round = 0; round < bench.rounds; round += 1) {
      for (const { name, socket, pair } of inTurn(all, round)) {
        const outcome = await runLoad(bench, socket, pair, load);
        outcomes.set(name, [...(outcomes.get(name) ?? []), outcome]);
      }
    }
    rows.push(...rowsOf(load.name, outcomes, Math.max(...load.sizes) >= 16_384));
  }
  await end(bench, all);
  return rows;
};

export const CONCURRENCIES: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

export const growthLabel = (concurrency: number): string => `growth: ${concurrency} calls of 128 B`;

export const growthFigures: Measure = async bench => {
  const seconds = bench.seconds / 5;
  const loads = CONCURRENCIES.map((concurrency): Load => ({
    name: growthLabel(concurrency),
    concurrency,
    sizes: [128],
  }));
  const all = await targets(bench, 'growth', loads.slice(4, 5));
  const samples = loads.map(() => new Samples());
  for (let round = 0; round < Math.min(bench.rounds, 2); round += 1) {
    for (const [index, load] of loads.entries()) {
      for (const { name, socket, pair } of inTurn(all, round))
        samples[index]?.add(name, (await runLoad(bench, socket, pair, load, seconds)).rps);
    }
  }
  await end(bench, all);
  return loads.map((load, index) => row(load.name, 'requests/s', true, samples[index] ?? new Samples()));
};
