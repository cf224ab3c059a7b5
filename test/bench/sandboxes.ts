// SPDX-License-Identifier: Apache-2.0
// 200 sandboxes behind one front half, each with a socket of its own: a link opened and called through in each, the memory
// of the front, and one of them busy. One back half plays all pod VMs, so only the front's figures mean anything.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Measure } from './ground.js';
import { openLinks } from './links.js';
import { cpuUs, residentBytes, Samples } from './measure.js';
import { endPair, inTurn, runLoad, startPair, type Load, type Outcome } from './pairs.js';
import { row } from './report.js';
import { rowsOf } from './throughput.js';

const COUNT = 200;
const BUSY: Load = { name: '16 calls, 128 B', concurrency: 16, sizes: [128] };
const SETTLE_MS = 1000;

export const sandboxFigures: Measure = async bench => {
  const took = new Samples();
  const cost = new Samples();
  const memory = new Samples();
  const busy = new Map<string, Outcome[]>();
  for (let round = 0; round < Math.min(bench.rounds, 2); round += 1) {
    for (const side of inTurn(
      bench.sides.filter(candidate => candidate.manySockets),
      round,
    )) {
      const pair = await startPair(bench, side, `sandboxes-${round}`, place => ({
        ...place,
        moreSockets: Array.from({ length: COUNT }, (_, index) =>
          join(place.folder, `${side.name.replaceAll(' ', '-')}-${round}-${index}.sock`),
        ),
      }));
      const before = cpuUs(pair.downstream.pid);
      const links = await openLinks(bench, pair.place.moreSockets ?? [], COUNT);
      took.add(side.name, links.seconds * 1000);
      cost.add(side.name, (cpuUs(pair.downstream.pid) - before) / COUNT);
      await sleep(SETTLE_MS);
      memory.add(side.name, residentBytes(pair.downstream.pid) / 2 ** 20);
      const socket = pair.place.moreSockets?.[0] ?? '';
      await runLoad(bench, socket, null, BUSY, Math.min(0.5, bench.seconds));
      const outcome = await runLoad(bench, socket, pair, BUSY);
      busy.set(side.name, [...(busy.get(side.name) ?? []), outcome]);
      await links.close();
      await endPair(bench, pair);
    }
  }
  return [
    row(`${COUNT} sandboxes: a link and a call in each`, 'ms', false, took),
    row(`${COUNT} sandboxes: CPU of the adaptor's half per first call`, 'µs', false, cost),
    row(`${COUNT} sandboxes: resident memory of the adaptor's half`, 'MiB', false, memory),
    ...rowsOf(`one busy of ${COUNT} sandboxes, ${BUSY.name}`, busy, false),
  ];
};
