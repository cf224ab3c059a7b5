// SPDX-License-Identifier: Apache-2.0
// Everything that is checked without running the programs: types of sources and tests, lint, format, which package may
// use which, and dependencies nobody uses. Runs all of them before it fails, so one run shows every complaint.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, tool } from './steps.mjs';

const tests = [...readdirSync(join(root, 'packages')).map(name => `packages/${name}/test`), 'test'].filter(
  folder => existsSync(join(root, folder, 'tsconfig.json')),
);

const steps = [
  ['types of sources', process.execPath, ['scripts/build.mjs']],
  ...tests.map(folder => [`types of ${folder}`, tool('tsc'), ['-p', folder]]),
  ['lint', tool('oxlint'), ['--deny-warnings']],
  ['format', tool('prettier'), ['--check', '--log-level', 'warn', '.']],
  ['rooms: who may use whom, no unused dependency or export', process.execPath, ['scripts/rooms.mjs']],
];

const failed = [];
for (const [name, program, args] of steps) {
  const begun = performance.now();
  const code = run(program, args);
  process.stdout.write(
    `${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)\n`,
  );
  if (code !== 0) failed.push(name);
}
if (failed.length > 0) {
  process.stdout.write(`check failed: ${failed.join(', ')}\n`);
  process.exit(1);
}
