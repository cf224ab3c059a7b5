// SPDX-License-Identifier: Apache-2.0
// What a fresh clone needs before anything can run: the dependencies of the lock file, then a build. Does nothing
// that is already done, so `npm start` and `npm test` may always begin with it. Uses Node alone.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { must, root } from './steps.mjs';

const [major = 0, minor = 0, patch = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && (minor < 20 || (minor === 20 && patch < 2)))) {
  process.stderr.write(
    `peerpod-tls: Node ${process.versions.node} is too old; 20.20.2 is the first release of its line without known TLS holes. Install 20.20.2 or later.\n`,
  );
  process.exit(1);
}

const lock = join(root, 'package-lock.json');
const installed = join(root, 'node_modules', '.package-lock.json');
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  process.stderr.write('peerpod-tls: installing the dependencies of package-lock.json\n');
  must('npm', ['ci', '--no-audit', '--loglevel=error'], { stdio: ['ignore', 'ignore', 'inherit'] });
}
must(process.execPath, [join(root, 'scripts', 'build.mjs')]);
