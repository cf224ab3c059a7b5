// SPDX-License-Identifier: Apache-2.0
// Releases of the programs as an image has them, one file each in a directory, with a version of their own.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const VERSION = /\bVERSION = "[^"]+"/g;

// The test runner's loaders travel in NODE_OPTIONS, and a compiler is not to be loaded by them.
const script = (name: string): { readonly status: number | null; readonly stderr: string } =>
  spawnSync('env', ['-u', 'NODE_OPTIONS', process.execPath, join(ROOT, 'scripts', name)], {
    cwd: ROOT,
    encoding: 'utf8',
  });

/** Puts the programs of this version into `directory`; those that lie there are replaced, each in one step. */
export function installRelease(directory: string, version: string): void {
  if (script('bundle-sources.mjs').status !== 0) {
    const { status, stderr } = script('bundle.mjs');
    if (status !== 0) throw new Error(`npm run bundle failed: ${stderr}`);
  }
  mkdirSync(directory, { recursive: true });
  const bundle = join(ROOT, 'bundle');
  for (const name of readdirSync(bundle).filter(name => name.endsWith('.cjs'))) {
    const text = readFileSync(join(bundle, name), 'utf8');
    const place = join(directory, name);
    writeFileSync(`${place}.new`, text.replaceAll(VERSION, `VERSION = ${JSON.stringify(version)}`));
    renameSync(`${place}.new`, place);
  }
}
