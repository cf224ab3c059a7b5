// SPDX-License-Identifier: Apache-2.0
// Many links: resident memory per idle one at 100, 1,000 and 5,000, and what a busy link among them gets and costs. Every
// link carried a call, so it is a link and not only a connection in a backlog.
import { StatusCode, TtrpcClient } from '@peerpod-tls/ttrpc';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Measure } from './ground.js';
import { residentBytes, Samples } from './measure.js';
import {
  endPair,
  inTurn,
  residentOf,
  runLoad,
  startPair,
  type Load,
  type Outcome,
  type Pair,
} from './pairs.js';
import { row, type Row } from './report.js';
import { rowsOf } from './throughput.js';

const SETTLE_MS = 1000;
export const LINK_COUNTS: readonly number[] = [100, 1000, 5000];
/** With how many idle links there is a busy one. */
const BUSY_AMONG: readonly number[] = [1000, 5000];
const FEW = 1000;
const BUSY: Load = { name: '16 calls, 128 B', concurrency: 16, sizes: [128] };

export const linksLabel = (count: number): string =>
  `memory per idle link and half, ${count.toLocaleString('en')} links`;

/** One shim of our own: a connection and a call that the agent answers, if only with Unimplemented. */
async function openLink(path: string): Promise<TtrpcClient> {
  const client = new TtrpcClient(connect(path));
  await client
    .call('grpc.Health', 'Check', new Uint8Array(), { timeoutMs: 30_000 })
    .catch((error: unknown) => {
      const status =
        typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined;
      if (status !== StatusCode.unimplemented) throw error;
    });
  return client;
}

/** Opens links that stay, each with a call made; the answer closes them and says how long all of them took. */
export async function openLinks(
  bench: Bench,
  sockets: readonly string[],
  count: number,
): Promise<{ readonly seconds: number; close(): Promise<void> }> {
  if (bench.ground.cProgram !== null) {
    const { program, answer } = await bench.programs.answered(bench.ground.cProgram, [
      'links',
      `-socket=${sockets.join(',')}`,
      `-count=${count}`,
    ]);
    return { seconds: answer['seconds'] ?? Number.NaN, close: () => bench.programs.end(program) };
  }
  const begun = performance.now();
  const clients: TtrpcClient[] = [];
  for (let made = 0; made < count; made += 1)
    clients.push(await openLink(sockets[made % sockets.length] ?? ''));
  return {
    seconds: (performance.now() - begun) / 1000,
    close: async () => {
      for (const client of clients) client.close();
    },
  };
}

/** What the measurement gathers, by figure. */
class Gathered {
  readonly idleBack = new Samples();
  readonly idle = new Samples();
  readonly perLink = new Map(LINK_COUNTS.map(count => [count, new Samples()]));
  readonly perLinkBack = new Map(LINK_COUNTS.map(count => [count, new Samples()]));
  readonly busy = new Map(BUSY_AMONG.map(count => [count, new Map<string, Outcome[]>()]));
}

/** Grows one pair to each count in turn: memory, then a busy link among them. */
async function grow(bench: Bench, pair: Pair, counts: readonly number[], into: Gathered): Promise<void> {
  const open = [await openLinks(bench, [pair.place.shimSocket], 1)];
  await sleep(SETTLE_MS);
  let base = residentOf(pair);
  let baseBack = residentBytes(pair.upstream.pid);
  into.idleBack.add(pair.name, baseBack / 2 ** 20);
  into.idle.add(pair.name, base / 2 ** 20);
  let there = 0;
  for (const count of counts) {
    open.push(await openLinks(bench, [pair.place.shimSocket], count - there));
    there = count;
    await sleep(SETTLE_MS);
    const grown = residentOf(pair);
    const grownBack = residentBytes(pair.upstream.pid);
    into.perLink.get(count)?.add(pair.name, (grown - base) / count / 2 / 1024);
    into.perLinkBack.get(count)?.add(pair.name, (grownBack - baseBack) / count / 1024);
    const outcomes = into.busy.get(count);
    if (outcomes === undefined) continue;
    await runLoad(bench, pair.place.shimSocket, null, BUSY, Math.min(0.5, bench.seconds));
    const outcome = await runLoad(bench, pair.place.shimSocket, pair, BUSY);
    outcomes.set(pair.name, [...(outcomes.get(pair.name) ?? []), outcome]);
    // What the load left behind in memory is not the idle links'.
    base += residentOf(pair) - grown;
    baseBack += residentBytes(pair.upstream.pid) - grownBack;
  }
  for (const links of open) await links.close();
}

export const linksFigures: Measure = async bench => {
  const into = new Gathered();
  const sides = bench.sides.filter(candidate => candidate.acceptsMany);
  const firstPump = sides.find(side => side.node !== null && side.project === undefined);
  for (let round = 0; round < Math.min(bench.rounds, 2); round += 1) {
    for (const side of inTurn(sides, round)) {
      // Thousands of links take half a minute to open: once, and of the pumps one will do.
      const many = round === 0 && (side === firstPump || side.project !== undefined || side.node === null);
      const counts = LINK_COUNTS.filter(count => many || count <= FEW);
      const pair = await startPair(bench, side, `links-${round}`);
      await grow(bench, pair, counts, into).catch((error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        bench.note(`${side.name}: not all of ${counts.at(-1)} links: ${why}`);
      });
      await endPair(bench, pair);
    }
  }
  const rows: Row[] = [
    row('resident memory, back half idle', 'MiB', false, into.idleBack),
    row('resident memory, both halves idle', 'MiB', false, into.idle),
  ];
  for (const [count, samples] of into.perLink) rows.push(row(linksLabel(count), 'KiB', false, samples));
  for (const [count, samples] of into.perLinkBack)
    rows.push(
      row(
        `memory per idle link, forwarder's half, ${count.toLocaleString('en')} links`,
        'KiB',
        false,
        samples,
      ),
    );
  for (const [count, outcomes] of into.busy) {
    const name = `one busy of ${(count + 1).toLocaleString('en')} links, ${BUSY.name}`;
    if (outcomes.size > 0) rows.push(...rowsOf(name, outcomes, false));
  }
  return rows;
};
