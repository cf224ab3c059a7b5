// SPDX-License-Identifier: Apache-2.0
// One file per program, so that a pod VM image needs the file and Node alone: bundle/<program>.cjs with a source map.
// CommonJS, because Node's loader of ES modules takes longer to start than all of a forwarder's own code.
// Not minified, because an uncaught error prints its source line into the log.
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { noteSources } from './bundle-sources.mjs';
import { mixedBundles } from './rules/mixed-bundles.mjs';
import { commitName, must, root } from './steps.mjs';

const programs = {
  'cloud-api-adaptor': 'packages/adaptor/dist/bin.js',
  'agent-protocol-proxy': 'packages/proxy/dist/bin.js',
  'agent-protocol-forwarder': 'packages/forwarder/dist/bin.js',
  'process-user-data': 'packages/user-data/dist/guest/bin.js',
  'peerpod-dev-agent': 'packages/dev-agent/dist/bin.js',
  peerpod: 'packages/cli/dist/bin.js',
  // Cleans up after a demo that was killed; started by it from beside its own file.
  'peerpod-demo-reaper': 'packages/cli/dist/demo/reaper.js',
  // Leads a pod VM of the `local` provider; looked for beside the adaptor's file.
  'peerpod-local-vm': 'packages/providers/dist/local/vm.js',
};

must(process.execPath, [join(root, 'scripts', 'build.mjs')]);
/**
 * A program's first file loads the rest late, so that an old Node is told so in words. A bundle is read whole before any of
 * it runs, and what is loaded late in it lies in functions that V8 reads twice: there the rest is a plain import, which
 * takes 3 ms less of each start.
 */
const atOnce = {
  name: 'main-at-once',
  setup(bundler) {
    bundler.onLoad({ filter: /\/packages\/[\w-]+\/dist\/(guest\/)?bin\.js$/ }, ({ path }) => {
      const late = /const (\{ \w+ \}) = await import\(('[\w./-]+')\);/g;
      const text = readFileSync(path, 'utf8');
      const loaded = [...text.matchAll(late)].map(([, names, file]) => `import ${names} from ${file};`);
      if (!loaded.includes("import { main } from './main.js';"))
        return { errors: [{ text: `${path} does not load main.js as expected` }] };
      return { contents: `${text.replace(late, '')}\n${loaded.join('\n')}\n` };
    });
  },
};

/** Our logs are written by the process itself: what pino needs to write them from a thread is left out, 4 ms of a start on Node 20. */
const noLogThread = {
  name: 'no-log-thread',
  setup(bundler) {
    bundler.onLoad({ filter: /\/node_modules\/pino\/lib\/transport\.js$/ }, () => ({
      contents: "module.exports = () => { throw new Error('a bundle has no transports of pino'); };",
    }));
  },
};

const outcome = await build({
  absWorkingDir: root,
  entryPoints: Object.entries(programs).map(([out, entry]) => ({ out, in: entry })),
  outdir: 'bundle',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node20.20',
  format: 'cjs',
  // What is loaded late comes by require too: the first import() would load all of Node's loader for ES modules.
  supported: { 'dynamic-import': false },
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  plugins: [atOnce, noLogThread],
  define: {
    PEERPOD_COMMIT: JSON.stringify(commitName()),
    'import.meta.url': 'urlOfThisFile',
    'import.meta.resolve': 'resolveNothing',
  },
  logLevel: 'warning',
  banner: {
    js: [
      // An idle link costs 8 to 11 KiB less with a small young generation, and calls cost the same: reads make no garbage.
      '#!/usr/bin/env -S node --max-semi-space-size=4',
      // esbuild's own comes too late to count, behind the constants below.
      "'use strict';",
      "const urlOfThisFile = require('node:url').pathToFileURL(__filename).href;",
      "const resolveNothing = () => { throw new Error('no packages are installed beside a bundle'); };",
    ].join('\n'),
  },
});

const wrong = mixedBundles(outcome.metafile.outputs, program =>
  readFileSync(join(root, 'bundle', `${program}.cjs`), 'utf8'),
);
if (wrong.length > 0) {
  process.stderr.write(`${wrong.join('\n')}\n`);
  process.exit(1);
}
noteSources(root, join(root, 'bundle'));
for (const out of Object.keys(programs)) {
  const bytes = readFileSync(join(root, 'bundle', `${out}.cjs`)).length;
  process.stdout.write(`bundle/${out}.cjs ${(bytes / 1024).toFixed(0)} KiB\n`);
}
