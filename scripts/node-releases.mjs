// SPDX-License-Identifier: Apache-2.0
// The Node releases we are tested on and put into images, each as a binary that comes as an npm package into a cache folder
// of ours (about 120 MB each). What runs on them is the caller's.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from './steps.mjs';

/** By release line; 20 is the floor of the two commands, 24 what the daemons run on. */
const RELEASES = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' };

/** What images of ours hold. */
export const IMAGE_LINE = '24';

/** The newest release of a line that was tried, or null for a line that was not. */
export function releaseOf(line) {
  return RELEASES[line] ?? null;
}

/** The lines there are, as a person may name them. */
export const LINES = Object.keys(RELEASES);

/**
 * Path of a line's binary: of the Node that runs this where it is of the line, else of the package.
 * @param {string} line one of LINES
 * @returns {string | null} null where there is no package for this machine, or it cannot be had now
 */
export function nodeBinary(line) {
  if (process.versions.node.startsWith(`${line}.`)) return process.execPath;
  const release = RELEASES[line];
  const name = `node-linux-${process.arch}`;
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return null;
  const home = join(root, 'node_modules', '.cache', `node-${release}`);
  const binary = join(home, 'node_modules', name, 'bin', 'node');
  if (existsSync(binary)) return binary;
  const args = ['install', '--prefix', home, '--no-save', '--no-package-lock', '--loglevel=error'];
  const code = run('npm', [...args, `${name}@${release}`], { stdio: ['ignore', 2, 'inherit'] });
  return code === 0 && existsSync(binary) ? binary : null;
}
