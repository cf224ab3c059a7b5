// SPDX-License-Identifier: Apache-2.0
// From sources to packages/*/dist: message code from the .proto files where they changed, then TypeScript. Bundles are
// made by bundle.mjs.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commitName, must, root, tool } from './steps.mjs';

const packages = join(root, 'packages');

/** Newest change below a folder, in milliseconds; 0 where there is none. */
function newest(folder) {
  if (!existsSync(folder)) return 0;
  return Math.max(0, ...readdirSync(folder).map(name => statSync(join(folder, name)).mtimeMs));
}

function oldest(folder) {
  if (!existsSync(folder)) return 0;
  const names = readdirSync(folder);
  return names.length === 0 ? 0 : Math.min(...names.map(name => statSync(join(folder, name)).mtimeMs));
}

for (const name of readdirSync(packages)) {
  const home = join(packages, name);
  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  if (manifest.scripts?.gen === undefined) continue;
  const sources = Math.max(
    newest(join(home, 'proto')),
    newest(join(home, 'scripts')),
    statSync(join(home, 'package.json')).mtimeMs,
  );
  if (oldest(join(home, 'gen')) > sources) continue;
  must('npm', ['run', 'gen', '--silent', '-w', manifest.name]);
}
must(tool('tsc'), ['-b', ...process.argv.slice(2)]);
// What a program that runs from dist says for its version.
if (existsSync(join(packages, 'daemon', 'dist'))) {
  writeFileSync(join(packages, 'daemon', 'dist', 'commit.txt'), `${commitName()}\n`);
}
