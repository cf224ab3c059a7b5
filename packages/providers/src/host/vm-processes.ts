// SPDX-License-Identifier: Apache-2.0
// Which processes belong to one VM of this machine, and how to end them all, from /proc alone. Starts nothing, writes nothing.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { sleep } from '@peerpod-tls/base';
import * as v from 'valibot';

/** Environment variable that every process of a VM carries; its value is the VM's directory. */
export const MARKER = 'PEERPOD_LOCAL_VM';

/**
 * A process, told apart from a later one with the same number by its start time in clock ticks since boot. 1 and below
 * address other groups of processes than one of ours.
 */
export const processId = v.object({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(2)),
  start: v.string(),
});
export type ProcessId = Readonly<v.InferOutput<typeof processId>>;

/** Start time of a process, or null when there is none (or only its zombie). proc(5), stat, fields 3 and 22. */
export function startTime(pid: number): string | null {
  const fields = statOf(pid);
  return fields === null || fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
}

export function isAlive(process: ProcessId): boolean {
  return startTime(process.pid) === process.start;
}

/**
 * Every live process that carries the VM's marker or works inside its directory. The marker is inherited by children
 * whoever starts them; the working directory catches those that cleaned their environment. A process with a terminal
 * in the directory is a person who looks around, not a part of the VM.
 */
export function processesOf(directory: string, except: readonly number[] = []): number[] {
  const mark = `${MARKER}=${directory}`;
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid <= 1 || except.includes(pid)) continue;
    const marked = readProc(`/proc/${pid}/environ`)?.split('\0').includes(mark) ?? false;
    if ((marked || (worksIn(pid, directory) && !hasTerminal(pid))) && startTime(pid) !== null)
      found.push(pid);
  }
  return found;
}

export interface EndOptions {
  /** Asked first, and alone, when it is alive: it ends the others in order. */
  readonly leader: ProcessId | null;
  /** Milliseconds between the request and the kill. */
  readonly graceMs: number;
  /** Milliseconds the kill may take. */
  readonly killMs: number;
  readonly signal?: AbortSignal;
  /** Spared: a process that cleans up after itself. */
  readonly except?: readonly number[];
}

/** Ends every process of a VM: SIGTERM, then SIGKILL, until none is left. Returns those that would not go. */
export async function endProcesses(directory: string, options: EndOptions): Promise<readonly number[]> {
  const { leader, graceMs, killMs, signal, except } = options;
  const first = leader !== null && isAlive(leader) ? [leader.pid] : processesOf(directory, except);
  for (const pid of first) send(pid, 'SIGTERM');
  if (first.length > 0 && (await gone(directory, graceMs, { signal, except, again: null })).length === 0)
    return [];
  return gone(directory, killMs, { signal, except, again: 'SIGKILL' });
}

/** Looks until no process is left or the time is over; `again` is sent to what each look finds. */
async function gone(
  directory: string,
  timeoutMs: number,
  options: {
    readonly signal: AbortSignal | undefined;
    readonly except: readonly number[] | undefined;
    readonly again: NodeJS.Signals | null;
  },
): Promise<readonly number[]> {
  const end = performance.now() + timeoutMs;
  for (let wait = 5; ; wait = Math.min(wait * 2, 50)) {
    options.signal?.throwIfAborted();
    const before = performance.now();
    const left = processesOf(directory, options.except);
    const cost = performance.now() - before;
    if (left.length === 0) return left;
    if (options.again !== null) for (const pid of left) send(pid, options.again);
    if (performance.now() >= end) return left;
    // On a machine with thousands of processes a look takes its time; four fifths of it stay for other work.
    await sleep(Math.max(wait, cost * 4));
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already, or another user's: the next look tells which.
  }
}

function worksIn(pid: number, directory: string): boolean {
  try {
    const cwd = readlinkSync(`/proc/${pid}/cwd`);
    return cwd === directory || cwd.startsWith(`${directory}/`);
  } catch {
    return false;
  }
}

/** proc(5), stat, field 7: the controlling terminal, 0 for none. */
function hasTerminal(pid: number): boolean {
  return (statOf(pid)?.[4] ?? '0') !== '0';
}

/** The fields of /proc/<pid>/stat from the third on. */
function statOf(pid: number): string[] | null {
  // The command's name in field 2 may hold blanks and brackets of its own: count from the last bracket.
  const stat = readProc(`/proc/${pid}/stat`);
  return stat === null ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Null when the process has gone or is not ours to read. */
function readProc(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}
