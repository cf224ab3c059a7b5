// SPDX-License-Identifier: Apache-2.0
// Running other programs from our scripts: one way to start them, time them and stop on a failure. No knowledge of
// what is being built or tested.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Short name of the commit that is being built, with `+` where files were changed since. PEERPOD_COMMIT says it where
 * there is no checkout, as in an image build; `unknown` without either.
 */
export function commitName() {
  if (process.env.PEERPOD_COMMIT) return process.env.PEERPOD_COMMIT;
  const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  const head = git('rev-parse', '--short', 'HEAD');
  if (head.status !== 0) return 'unknown';
  const changed = git('status', '--porcelain', '--untracked-files=no').stdout.trim() !== '';
  return head.stdout.trim() + (changed ? '+' : '');
}

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
