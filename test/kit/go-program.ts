// SPDX-License-Identifier: Apache-2.0
// Go programs that tests talk to, built where there is a Go toolchain and its modules can be had.
import { spawnSync } from 'node:child_process';

/** A first build fetches modules and compiles all of them; on a busy machine that takes minutes. */
const BUILD_MS = 280_000;

/**
 * Builds the program `what` of the module in `source`. Answers why it cannot be had on this machine, for a skip.
 * @throws Error what the compiler says of our own code, and a build that takes too long: neither is a missing part
 */
export function buildGoProgram(
  source: string,
  program: string,
  what = '.',
): { readonly program: string } | { readonly reason: string } {
  const go = (...argv: string[]) =>
    spawnSync('go', argv, { cwd: source, encoding: 'utf8', timeout: BUILD_MS });
  if (go('version').status !== 0) return { reason: 'go is not installed' };
  const built = go('build', '-o', program, what);
  if (built.status === 0) return { program };
  if (built.error !== undefined)
    throw new Error(`go build ${what} did not end within ${BUILD_MS / 1000} s`, { cause: built.error });
  // A compiler's complaint names a file of ours; anything else is about getting the modules.
  if (/\.go:\d+:\d+: (?!no required module|cannot find)/.test(built.stderr)) throw new Error(built.stderr);
  return { reason: `the Go modules cannot be fetched: ${built.stderr.trim().split('\n').at(-1)}` };
}
