// SPDX-License-Identifier: Apache-2.0
// Short directories of a test's own, and what is left in them or of the processes that were started for them.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Teardown } from './program.js';

export const isRoot = process.getuid?.() === 0;

/** A test that is cut off by its time limit runs no teardown: what was started for its directories ends with its process. */
const inUse = new Set<string>();
process.once('exit', () => {
  for (const directory of inUse) for (const { pid } of processesOf(directory)) kill(pid);
});

/** Ends whatever still runs for a directory with its test. */
export function ownProcesses(t: Teardown, directory: string): void {
  inUse.add(directory);
  t.teardown(async () => {
    await killAll(directory);
    inUse.delete(directory);
  });
}

/** Short, since sockets lie in it: their paths have to fit 107 bytes. Whatever still runs for it is ended with the test. */
export function temporary(t: Teardown): string {
  const directory = mkdtempSync(join(tmpdir(), 'sys-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }));
  ownProcesses(t, directory);
  return directory;
}

/** Ends with SIGKILL whatever process belongs to a directory, and waits until it has. */
async function killAll(directory: string): Promise<void> {
  for (const { pid } of processesOf(directory)) kill(pid);
  await untilNoProcess(directory, 5000);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended in the meantime.
  }
}

export interface RunningProcess {
  readonly pid: number;
  readonly command: string;
}

/** Processes whose command line or environment names this directory, without the caller's own. */
export function processesOf(directory: string): RunningProcess[] {
  const found: RunningProcess[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = /^\d+$/.test(name) ? Number(name) : 0;
    if (pid === 0 || pid === process.pid) continue;
    const command = procFile(pid, 'cmdline').replaceAll('\0', ' ').trim();
    if (command.includes(directory) || procFile(pid, 'environ').includes(directory))
      found.push({ pid, command });
  }
  return found;
}

/** A file of /proc/PID; empty when the process is gone or somebody else's. */
export function procFile(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

/** Waits until no process is left that belongs to the directory; gives those that remain after `ms`. */
export async function untilNoProcess(directory: string, ms: number): Promise<RunningProcess[]> {
  const end = Date.now() + ms;
  for (;;) {
    const left = processesOf(directory);
    if (left.length === 0 || Date.now() > end) return left;
    await sleep(20);
  }
}

export interface FoundFile {
  readonly path: string;
  readonly mode: number;
}

/** Every regular file below a directory, links not followed. */
export function filesBelow(directory: string): FoundFile[] {
  const found: FoundFile[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) found.push(...filesBelow(path));
    else if (entry.isFile()) found.push({ path, mode: statSync(path).mode & 0o777 });
  }
  return found;
}

/** Resident memory of a process, in mebibytes. */
export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(procFile(pid, 'status'))?.[1] ?? 0) / 1024;
}
