// SPDX-License-Identifier: Apache-2.0
// Runs the fast suite, or the tests that are named, on other Node releases: `npm run test:node -- 22 24 [FILE.test.ts]`.
import { delimiter, dirname, join } from 'node:path';
import { LINES, nodeBinary, releaseOf } from './node-releases.mjs';
import { root, run } from './steps.mjs';

const args = process.argv.slice(2);
const lines = args.filter(arg => /^\d+$/.test(arg));
const others = args.filter(arg => !/^\d+$/.test(arg));
const unknown = lines.filter(line => !LINES.includes(line));
if (lines.length === 0 || unknown.length > 0) {
  const said = unknown.length > 0 ? `no release of Node ${unknown.join(', ')} was tried` : 'no release named';
  process.stderr.write(`test:node: ${said}; there are ${LINES.join(', ')}, as in: npm run test:node -- 22\n`);
  process.exit(2);
}
let worst = 0;
for (const line of lines) {
  const node = nodeBinary(line);
  if (node === null) {
    const machine = `${process.platform} ${process.arch}`;
    process.stdout.write(
      `skipped: Node ${releaseOf(line)} cannot be had as an npm package here (${machine})\n0 passed, 0 failed, 1 skipped\n`,
    );
    continue;
  }
  process.stdout.write(`Node ${releaseOf(line)}\n`);
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env['PATH'] ?? ''}` };
  worst = Math.max(worst, run(node, [join(root, 'scripts', 'test.mjs'), ...others], { env }));
}
process.exit(worst);
