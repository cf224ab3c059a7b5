// SPDX-License-Identifier: Apache-2.0
// The last resort of the demo: finds processes that carry its mark and ends them, then removes its directory. Used when
// the orderly way is closed: a second Ctrl-C, a dead adaptor, a demo that was killed itself.
import { readFileSync, readdirSync, rmSync } from 'node:fs';

/** Environment variable that every process of one demo inherits; its value is the demo's private directory. */
export const MARK = 'PEERPOD_DEMO';

/** Processes of this user that carry the mark, without the ones in `except`. Reads /proc; elsewhere it finds nothing. */
export function findMarked(dir: string, except: ReadonlySet<number> = new Set()): number[] {
  const wanted = `\0${MARK}=${dir}\0`;
  const found: number[] = [];
  for (const name of listOf('/proc')) {
    const pid = /^\d+$/u.test(name) ? Number(name) : 0;
    if (pid === 0 || pid === process.pid || except.has(pid)) continue;
    // NUL on both sides, so that neither another variable's tail nor a longer directory name matches.
    if (`\0${environmentOf(pid)}\0`.includes(wanted)) found.push(pid);
  }
  return found;
}

function listOf(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    // Gone since, or another user's: not ours.
    return '';
  }
}

/**
 * Ends every marked process at once and removes the directory unless it is to be kept. Synchronous, so that it can run
 * in the last moments of a process. Repeats, since a process may start another one while it is being looked for.
 */
export function sweep(dir: string, o: { keep: boolean; except?: ReadonlySet<number> }): { killed: number } {
  const killed = new Set<number>();
  for (let round = 0; round < 50; round++) {
    const found = findMarked(dir, o.except);
    if (found.length === 0) break;
    for (const pid of found) {
      killed.add(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself in the meantime.
      }
    }
    // A killed process stays visible until it is reaped; without a pause the rounds would be over before that.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  if (!o.keep) rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  return { killed: killed.size };
}
