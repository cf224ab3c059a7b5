// SPDX-License-Identifier: Apache-2.0
// `npm run bench`: this project and the peers found on this machine, in one run, same topology, same load. Prints a
// table and writes bench.json. A bench is no test: it decides nothing and takes minutes.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
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

const measurements = {
  throughput: throughputFigures,
  handshakes: handshakeFigures,
  memory: memoryFigures,
  start: startFigures,
  issuing: issuingFigures,
};

const usage = `Measures this project beside the TLS proxies found on this machine, and prints a table.

  npm run bench [-- --rounds N] [--seconds N] [--only WHAT] [--output FILE]

  --rounds N     interleaved rounds (default 5)
  --seconds N    length of one load, in seconds (default 1)
  --only WHAT    one of ${Object.keys(measurements).join(', ')}
  --output FILE  where the figures go as JSON (default bench.json)

Peers that are not installed (haproxy, stunnel4, nginx, a Go toolchain) are left out.
`;

/** The command line, or null when help was asked for. Refuses with the usage and exit code 2. */
function commandLine(): { rounds: number; seconds: number; only: string | undefined; output: string } | null {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '1' },
        only: { type: 'string' },
        output: { type: 'string', default: 'bench.json' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return null;
    const numbers = { rounds: Number(values.rounds), seconds: Number(values.seconds) };
    if (!Number.isInteger(numbers.rounds) || numbers.rounds < 1)
      throw new TypeError(`--rounds is ${JSON.stringify(values.rounds)}, not a whole number above 0`);
    if (!(numbers.seconds > 0 && numbers.seconds <= 3600))
      throw new TypeError(
        `--seconds is ${JSON.stringify(values.seconds)}, not a number of seconds up to 3600`,
      );
    if (values.only !== undefined && !Object.hasOwn(measurements, values.only))
      throw new TypeError(
        `--only is ${JSON.stringify(values.only)}, not one of ${Object.keys(measurements).join(', ')}`,
      );
    return { ...numbers, only: values.only, output: values.output };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exit(2);
  }
}

const values = commandLine();
if (values === null) {
  process.stdout.write(usage);
  process.exit(0);
}

// The programs are measured as they are shipped, one file each, made of the sources as they are now.
const bundled = spawnSync(
  process.execPath,
  [fileURLToPath(new URL('../../scripts/bundle.mjs', import.meta.url))],
  { stdio: ['ignore', 'ignore', 'inherit'] },
);
if (bundled.status !== 0) process.exit(1);

const programs = new Programs();
const ground = await makeGround(programs);
try {
  const candidates = [ours, ...peersHere(ground.goProgram)];
  const options = { rounds: values.rounds, seconds: values.seconds };
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
