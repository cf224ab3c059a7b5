// SPDX-License-Identifier: Apache-2.0
// Sandboxes that are busy at the same time, through an adaptor's half with one thread and with two: what they pass, what a
// call costs that half, and what a quiet sandbox feels of a noisy one. One back half plays all pod VMs; with few cores its
// own need and the load's bound the requests per second.
import { join } from 'node:path';
import type { Bench, Measure } from './ground.js';
import { residentBytes, Samples } from './measure.js';
import { ownRoot } from './ours.js';
import { endPair, inTurn, runLoad, startPair, type Load, type Outcome, type Pair } from './pairs.js';
import { row, type Row } from './report.js';

const THREADS = [1, 2] as const;
const SOCKETS = 8;
const BUSY = [2, SOCKETS] as const;
const LOADS: readonly Load[] = [
  { name: '16 calls, 128 B', concurrency: 16, sizes: [128] },
  { name: '4 calls, 64 KiB', concurrency: 4, sizes: [65_536] },
];
const NOISY: Load = { name: '4 calls, 1 MiB', concurrency: 4, sizes: [1_048_576] };
const QUIET: Load = { name: '1 call, 128 B', concurrency: 1, sizes: [128] };

export const threadFigures: Measure = async bench => {
  const samples = new Map<string, Samples>();
  const note = (figure: string, side: string, value: number): void => {
    const of = samples.get(figure) ?? new Samples();
    samples.set(figure, of);
    of.add(side, value);
  };
  for (const side of bench.sides.filter(({ project }) => project?.root === ownRoot)) {
    const pairs: { readonly threads: number; readonly pair: Pair }[] = [];
    for (const threads of THREADS) {
      const pair = await startPair(bench, side, `threads-${threads}`, place => ({
        ...place,
        threads,
        moreSockets: Array.from({ length: SOCKETS }, (_, at) =>
          join(place.folder, `th${threads}-${at}.sock`),
        ),
      }));
      pairs.push({ threads, pair });
    }
    for (let round = 0; round < Math.min(bench.rounds, 5); round += 1) {
      for (const { threads, pair } of inTurn(pairs, round)) {
        const head = (busy: number, load: Load): string =>
          `${busy} busy sandboxes, ${load.name}, ${threadCount(threads)}`;
        for (const busy of BUSY)
          for (const load of LOADS) {
            const all = await runOnAll(bench, pair, busy, load);
            note(`${head(busy, load)}|requests/s`, side.name, sum(all.map(({ rps }) => rps)));
            // Each divided the same CPU by calls of its own.
            note(
              `${head(busy, load)}: CPU per call, adaptor's half|µs`,
              side.name,
              1 / sum(all.map(({ cpuFront }) => 1 / cpuFront)),
            );
          }
        const { p50us, p99us } = await quietBesideNoisy(bench, pair);
        const quiet = `a quiet sandbox (${QUIET.name}) beside a busy one (${NOISY.name}), ${threadCount(threads)}`;
        note(`${quiet}: p50|µs`, side.name, p50us);
        note(`${quiet}: p99|µs`, side.name, p99us);
        note(
          `resident memory of the adaptor's half, ${threadCount(threads)}|MiB`,
          side.name,
          residentBytes(pair.downstream.pid) / 2 ** 20,
        );
      }
    }
    for (const { pair } of pairs) await endPair(bench, pair);
  }
  return [...samples].map(([named, of]): Row => {
    const [figure = '', unit = ''] = named.split('|');
    return row(figure, unit, unit === 'requests/s', of);
  });
};

const threadCount = (threads: number): string => (threads === 1 ? '1 thread' : `${threads} threads`);

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);

function runOnAll(bench: Bench, pair: Pair, busy: number, load: Load): Promise<Outcome[]> {
  const sockets = (pair.place.moreSockets ?? []).slice(0, busy);
  return Promise.all(sockets.map(socket => runLoad(bench, socket, pair, load)));
}

/** The first two sockets are on two threads where there are two. */
async function quietBesideNoisy(bench: Bench, pair: Pair): Promise<Outcome> {
  const [noisy = '', quiet = ''] = pair.place.moreSockets ?? [];
  const [, outcome] = await Promise.all([
    runLoad(bench, noisy, null, NOISY, bench.seconds * 1.5),
    runLoad(bench, quiet, null, QUIET),
  ]);
  return outcome;
}
