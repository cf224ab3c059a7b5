// SPDX-License-Identifier: Apache-2.0
// A demo in a temporary directory of the test's own, and the proof that it left nothing behind.
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { findMarked, sweep } from '../../src/demo/sweep.js';
import { Peerpod, type StartOptions, shortDirectory } from './program.js';

export interface RunningDemo {
  readonly program: Peerpod;
  /** The temporary directory under which the demo makes its own. */
  readonly base: string;
  /** The demo's private directory, once it exists. */
  dir(): Promise<string>;
}

export function startDemo(t: Test, argv: readonly string[], options: StartOptions = {}): RunningDemo {
  const base = shortDirectory(t);
  const env = { ...options.env, TMPDIR: base };
  const program = new Peerpod(t, ['demo', ...argv], { ...options, env });
  const made = findDirectory(
    base,
    () => program.child.exitCode === null && program.child.signalCode === null,
  );
  made.catch(() => {});
  // A test that fails must not leave processes behind for the next one.
  t.teardown(() =>
    made.then(
      dir => sweep(dir, { keep: false }),
      () => {},
    ),
  );
  return { program, base, dir: () => made };
}

async function findDirectory(base: string, running: () => boolean): Promise<string> {
  while (running()) {
    const name = readdirSync(base).find(entry => entry.startsWith('pp-'));
    if (name !== undefined) return `${base}/${name}`;
    await sleep(5);
  }
  throw new Error('the demo ended without making its directory');
}

/** Waits until no process carries the demo's mark and its directory is gone. */
export async function untilNothingIsLeft(dir: string, base: string): Promise<void> {
  while (findMarked(dir).length > 0 || readdirSync(base).length > 0) await sleep(20);
}

/** What is left right now. */
export function leftovers(dir: string, base: string): { processes: number[]; files: string[] } {
  return { processes: findMarked(dir), files: readdirSync(base) };
}

export const nothing = { processes: [], files: [] };
