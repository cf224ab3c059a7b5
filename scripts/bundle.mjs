// SPDX-License-Identifier: Apache-2.0
// One file per program, so that a pod VM image needs the file and Node alone: bundle/<program>.mjs with a source map.
// Not minified, because an uncaught error prints its source line into the log.
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { noteSources } from './bundle-sources.mjs';
import { commitName, must, root } from './steps.mjs';

const programs = {
  'cloud-api-adaptor': 'packages/adaptor/dist/bin.js',
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
 * Of yargs the programs use its parser alone. The rest of yargs/helpers loads a terminal layout whose Intl.Segmenter
 * takes 11 ms at start, so a bundle gets the parser in its place.
 */
const yargsParserAlone = {
  name: 'yargs-parser-alone',
  setup(bundler) {
    bundler.onLoad({ filter: /[/\\]yargs[/\\]helpers[/\\]helpers\.mjs$/ }, ({ path }) => ({
      contents: "export { default as Parser } from 'yargs-parser';",
      resolveDir: dirname(path),
    }));
  },
};

const outcome = await build({
  absWorkingDir: root,
  entryPoints: Object.entries(programs).map(([out, entry]) => ({ out, in: entry })),
  outdir: 'bundle',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node20.20',
  format: 'esm',
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  plugins: [yargsParserAlone],
  define: { PEERPOD_COMMIT: JSON.stringify(commitName()) },
  logLevel: 'warning',
  banner: {
    // pino, node-forge and protobufjs are CommonJS and call require for Node's own modules.
    js: "#!/usr/bin/env node\nimport { createRequire as createRequireOfBundle } from 'node:module'; const require = createRequireOfBundle(import.meta.url);",
  },
});

const foreign = Object.keys(
  outcome.metafile.outputs['bundle/agent-protocol-forwarder.mjs']?.inputs ?? {},
).filter(file => ['adaptor', 'providers', 'dev-agent'].some(name => file.startsWith(`packages/${name}/`)));
if (foreign.length > 0) {
  process.stderr.write(
    `the forwarder's file must hold nothing of the adaptor, but holds ${foreign.join(', ')}\n`,
  );
  process.exit(1);
}
noteSources(root, join(root, 'bundle'));
for (const out of Object.keys(programs)) {
  const bytes = readFileSync(join(root, 'bundle', `${out}.mjs`)).length;
  process.stdout.write(`bundle/${out}.mjs ${(bytes / 1024).toFixed(0)} KiB\n`);
}
