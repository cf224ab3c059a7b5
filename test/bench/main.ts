// SPDX-License-Identifier: Apache-2.0
// `npm run bench`: this project and the peers found on this machine, in one run, same topology, same load. Prints a
// table and writes bench.json. A bench is no test: it judges nothing and takes minutes.
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { handshakeFigures } from './handshakes.js';
import { issuingFigures } from './issuing.js';
import { memoryFigures } from './memory.js';
import { ours, peersHere } from './peers.js';
import { makeGround } from './ground.js';
import { Programs } from './processes.js';
import { table, type Row } from './report.js';
import { startFigures } from './start.js';
import { throughputFigures } from './throughput.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    only: { type: 'string' },
    output: { type: 'string', default: 'bench.json' },
  },
});

const programs = new Programs();
const ground = await makeGround(programs);
try {
  const candidates = [ours, ...peersHere(ground.goProgram)];
  const options = { rounds: Number(values.rounds), seconds: Number(values.seconds) };
  const measurements = {
    throughput: throughputFigures,
    handshakes: handshakeFigures,
    memory: memoryFigures,
    start: startFigures,
    issuing: issuingFigures,
  };
  const rows: Row[] = [];
  for (const [name, measure] of Object.entries(measurements)) {
    if (values.only !== undefined && values.only !== name) continue;
    process.stderr.write(`measuring ${name}\n`);
    rows.push(...(await measure(programs, ground, candidates, options)));
  }
  process.stdout.write(table(rows));
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    openssl: process.versions.openssl,
    load: ground.goProgram === null ? 'our own ttrpc client' : 'containerd/ttrpc client (Go)',
  };
  writeFileSync(
    values.output,
    `${JSON.stringify({ date: new Date().toISOString(), machine, options, rows }, null, 2)}\n`,
  );
  process.stdout.write(`\nwritten to ${values.output}\n`);
} finally {
  await programs.stop();
  ground.remove();
}
