// SPDX-License-Identifier: Apache-2.0
// Running other programs from our scripts: one way to start them, time them and stop on a failure. No knowledge of
// what is being built or tested.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Path of a program that came with a dev dependency. */
export const tool = name => join(root, 'node_modules', '.bin', name);

/**
 * Runs a program in the root directory and returns its exit code; a program that a signal ended counts as 1.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnSyncOptions} [options]
 */
export function run(program, args, options = {}) {
  const done = spawnSync(program, args, { cwd: root, stdio: 'inherit', ...options });
  if (done.error) throw done.error;
  return done.status ?? 1;
}

/** Runs a program and ends this script with its exit code unless that is 0. */
export function must(program, args, options) {
  const code = run(program, args, options);
  if (code !== 0) process.exit(code);
}
