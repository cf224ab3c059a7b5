// SPDX-License-Identifier: Apache-2.0
// `npm run bench`: this project and the peers found on this machine, in one run, same topology, same suite, same load.
// Prints tables and writes bench.json. A bench is no test: it decides nothing and takes minutes.
import { messageOf } from '@peerpod-tls/base';
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { buildCommit, commitOf, type Checkout } from './against.js';
import { MEASUREMENTS, readCommandLine, usage, type Asked, type Measurement } from './command-line.js';
import { delayFigures } from './delay.js';
import { barsOf, svgOf } from './drawing.js';
import { loadInWords, makeGround, type Bench, type Measure } from './ground.js';
import { chartsOf } from './growth.js';
import { handshakeFigures } from './handshakes.js';
import { issuingFigures } from './issuing.js';
import { linksFigures } from './links.js';
import { ownRoot, type NodeRelease } from './ours.js';
import { Programs } from './processes.js';
import { recordsFigures } from './records.js';
import { table, type Row } from './report.js';
import { sandboxFigures } from './sandboxes.js';
import { columnsOf, expectedSeconds, releasesOf, sidesOf } from './sides.js';
import { startFigures } from './start.js';
import { lookAtSuites } from './suites.js';
import { threadFigures } from './threads.js';
import { growthFigures, throughputFigures } from './throughput.js';

const measures: Readonly<Record<Measurement, Measure>> = {
  throughput: throughputFigures,
  growth: growthFigures,
  delay: delayFigures,
  handshakes: handshakeFigures,
  links: linksFigures,
  sandboxes: sandboxFigures,
  threads: threadFigures,
  records: recordsFigures,
  start: startFigures,
  issuing: issuingFigures,
};

function refuse(why: string): never {
  process.stderr.write(`bench: ${why}\n\nrun it with --help for what can be asked\n`);
  process.exit(2);
}

const programs = new Programs();
/** What is undone at the end, last first; also when the run is cut short. */
const undo: (() => void)[] = [];
let ending = false;
async function cleanUp(): Promise<void> {
  await programs.stop();
  for (const step of undo.splice(0).toReversed()) step();
}
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  process.on(signal, () => {
    if (ending) return;
    ending = true;
    process.stderr.write(`bench: ${signal}, ending everything\n`);
    void cleanUp().finally(() => process.exit(128 + number));
  });
}

async function measureAll(asked: Asked, nodes: readonly NodeRelease[], commit: string | null): Promise<void> {
  const say = (text: string): unknown => process.stderr.write(`bench: ${text}\n`);
  const notes: string[] = [];
  // The programs are measured as they are shipped, one file each, made of the sources as they are now.
  await programs.run(process.execPath, ['scripts/bundle.mjs'], ownRoot);
  let before: Checkout | null = null;
  if (commit !== null) {
    say(`building ${commit} in a worktree of its own`);
    before = await buildCommit(programs, commit, remove => undo.push(remove));
  }
  const ground = await makeGround(programs, remove => undo.push(remove));
  const { sides, missing } = sidesOf(nodes, before, ground);
  if (missing.length > 0) notes.push(`left out, not installed here: ${missing.join(', ')}`);
  const bench: Bench = {
    programs,
    ground,
    sides,
    nodes,
    rounds: asked.rounds,
    seconds: asked.seconds,
    note: text => {
      notes.push(text);
      say(text);
    },
  };
  const minutes = Math.ceil(expectedSeconds(asked, sides) / 60);
  say(`${sides.length} sides (${sides.map(side => side.name).join(', ')}); this takes about ${minutes} min`);
  const suites = await lookAtSuites(bench);
  const standing = programs.running;
  const rows: Row[] = [];
  const took: Record<string, number> = {};
  for (const name of asked.only) {
    say(`measuring ${name}: ${MEASUREMENTS[name]}`);
    const begun = performance.now();
    try {
      rows.push(...(await measures[name](bench)));
    } catch (error) {
      // The others are worth having all the same.
      if (ending) throw error;
      bench.note(`${name} failed: ${messageOf(error)}`);
      process.exitCode = 1;
    }
    await programs.endOthers(standing);
    took[name] = Math.round((performance.now() - begun) / 100) / 10;
  }
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: nodes.map(node => node.version),
    before: before?.commit ?? null,
    load: loadInWords(ground),
    suites: Object.fromEntries(suites.map(({ name, suite, tickets }) => [name, { suite, tickets }])),
    notes,
  };
  for (const node of nodes) {
    if (nodes.length > 1) process.stdout.write(`\nNode ${node.version}\n\n`);
    process.stdout.write(table(rows, `ours${node.suffix}`, columnsOf(sides, node)));
  }
  const charts = chartsOf(rows);
  for (const chart of charts) process.stdout.write(`\n${barsOf(chart)}`);
  process.stdout.write('\nSuite between the halves, and session tickets, as seen on the wire:\n');
  for (const { name, suite, tickets } of suites)
    process.stdout.write(
      `  ${name}: ${suite ?? 'none understood'}, ${tickets === 0 ? 'no' : tickets} tickets\n`,
    );
  process.stdout.write(`Load and agent: ${machine.load}\n`);
  for (const note of notes) process.stdout.write(`Note: ${note}\n`);
  const options = { rounds: asked.rounds, seconds: asked.seconds, only: asked.only };
  const written = { date: new Date().toISOString(), machine, options, took, rows };
  writeFileSync(asked.output, `${JSON.stringify(written, null, 2)}\n`);
  process.stdout.write(`\nwritten to ${asked.output}`);
  if (charts.length > 0) {
    const drawing = `${asked.output.replace(/\.json$/, '')}.svg`;
    writeFileSync(drawing, svgOf(charts));
    process.stdout.write(` and ${drawing}`);
  }
  process.stdout.write('\n');
}

const line = readCommandLine(process.argv.slice(2), process.execPath);
if (line.t === 'refused') refuse(line.why);
if (line.t === 'help') {
  process.stdout.write(usage);
} else {
  let nodes;
  try {
    nodes = releasesOf(line.asked.nodes);
  } catch (error) {
    refuse(messageOf(error));
  }
  const commit = line.asked.against === null ? null : commitOf(line.asked.against);
  if (line.asked.against !== null && commit === null)
    refuse(
      `--against is ${JSON.stringify(line.asked.against)}, and this repository has no such commit; git log names them`,
    );
  try {
    await measureAll(line.asked, nodes, commit);
  } catch (error) {
    // After a signal everything is being ended, which is no failure of its own.
    if (ending) await new Promise(() => {});
    process.stderr.write(`bench: ${messageOf(error)}\n`);
    process.exitCode = 1;
  } finally {
    await cleanUp();
  }
}
