// SPDX-License-Identifier: Apache-2.0
// One program of the image build: quiet when it works, with its last words when it does not.
import { spawnSync } from 'node:child_process';

/**
 * Runs a program to its end.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {Readonly<Record<string, string>>} [env]
 * @returns {string} what it printed
 */
export function step(program, args, env = {}) {
  const done = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C', ...env },
  });
  if (done.error) throw done.error;
  if (done.status === 0) return done.stdout;
  const words = `${done.stderr}${done.stdout}`.trim().split('\n').slice(-12).join('\n  ');
  throw new Error(`${program} ended with ${done.signal ?? `code ${String(done.status)}`}:\n  ${words}`);
}
