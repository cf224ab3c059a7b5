// SPDX-License-Identifier: Apache-2.0
// How late the event loops of the Node sides' halves are under each load. These are processes of their own with a monitor
// in them, so that the other figures are of programs without one.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Measure } from './ground.js';
import { Samples } from './measure.js';
import { endPair, inTurn, LOADS, runLoad, startPair } from './pairs.js';
import { codeOf } from '@peerpod-tls/base';
import { row, type Row } from './report.js';

const monitor = new URL('delay-monitor.mjs', import.meta.url);
const WITHIN_MS = 5000;

/** Asks a monitored process what it saw since it was last asked. */
async function seenBy(file: string, pid: number): Promise<Record<'p50' | 'p99' | 'max', number>> {
  const answer = `${file}.${pid}`;
  rmSync(answer, { force: true });
  process.kill(pid, 'SIGUSR2');
  for (let waited = 0; waited < WITHIN_MS; waited += 5) {
    try {
      const { p50, p99, max }: Record<string, unknown> = JSON.parse(readFileSync(answer, 'utf8'));
      return { p50: Number(p50), p99: Number(p99), max: Number(max) };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
    await sleep(5);
  }
  throw new Error(`process ${pid} did not say how late its event loop was`);
}

export const delayFigures: Measure = async bench => {
  const file = join(bench.ground.folder, 'delay');
  const launch = { flags: [`--import=${monitor.href}`], env: { BENCH_DELAY_FILE: file } };
  const pairs = [];
  for (const side of bench.sides) {
    const watched = side.launchedWith?.(launch);
    if (watched !== undefined) pairs.push(await startPair(bench, watched, 'delay'));
  }
  const rows: Row[] = [];
  for (const load of LOADS) {
    const parts = (['p50', 'p99', 'max'] as const).map(part => ({
      part,
      upstream: new Samples(),
      downstream: new Samples(),
    }));
    // The first round warms up and does not count.
    for (let round = -1; round < Math.min(bench.rounds, 2); round += 1) {
      for (const pair of inTurn(pairs, Math.max(0, round))) {
        for (const { pid } of [pair.upstream, pair.downstream]) await seenBy(file, pid);
        await runLoad(bench, pair.place.shimSocket, pair, load);
        const [upstream, downstream] = [
          await seenBy(file, pair.upstream.pid),
          await seenBy(file, pair.downstream.pid),
        ];
        if (round < 0) continue;
        for (const one of parts) {
          one.upstream.add(pair.name, upstream[one.part]);
          one.downstream.add(pair.name, downstream[one.part]);
        }
      }
    }
    for (const { part, upstream, downstream } of parts) {
      rows.push(row(`${load.name}: event-loop delay ${part}, forwarder's half`, 'ms', false, upstream));
      rows.push(row(`${load.name}: event-loop delay ${part}, adaptor's half`, 'ms', false, downstream));
    }
  }
  for (const pair of pairs) await endPair(bench, pair);
  return rows;
};
