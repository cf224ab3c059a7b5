// SPDX-License-Identifier: Apache-2.0
// Numbers: what a process costs according to /proc, and how a row of samples is summed up. Starts nothing.
import { codeOf } from '@peerpod-tls/base';
import { readdirSync, readFileSync } from 'node:fs';

export interface Figure {
  readonly n: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Sums up samples; the median of an even count is the mean of the middle two. */
export function figure(samples: readonly number[]): Figure {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return {
    n: sorted.length,
    min: sorted[0] ?? Number.NaN,
    median: (low + high) / 2,
    max: sorted.at(-1) ?? Number.NaN,
  };
}

/** Ratios sample by sample: both rows come from the same rounds, so a machine that drifts does not decide. */
export function ratio(ours: readonly number[], theirs: readonly number[]): Figure {
  return figure(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)));
}

/** Resident memory of a process in bytes (proc(5), VmRSS). */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? Number.NaN) * 1024;
}

/** Text of a file in /proc; empty when its process or thread has ended since. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return '';
    throw error;
  }
}

const threadsOf = (pid: number): string[] => readdirSync(`/proc/${pid}/task`);

/** A process and all that came of it. proc(5), task/TID/children. */
function familyOf(pid: number): number[] {
  const children = threadsOf(pid).flatMap(thread =>
    textOf(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(familyOf)];
}

/**
 * CPU a process and its children have used so far, in microseconds, from the scheduler's own clock (proc(5), schedstat)
 * and not from ticks. What a thread used that has ended is not in it, so look while a connection is there whose threads
 * end with it.
 */
export function cpuUs(pid: number): number {
  let ns = 0;
  for (const member of familyOf(pid)) {
    for (const thread of threadsOf(member))
      ns += Number(textOf(`/proc/${member}/task/${thread}/schedstat`).split(' ')[0]);
  }
  return ns / 1000;
}

/**
 * CPU a process has used so far with all threads that ended, in microseconds, but counted in ticks of 10 ms (proc(5),
 * stat fields 14 and 15).
 */
export function tickedCpuUs(pid: number): number {
  const text = textOf(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Samples by the name of whose they are. */
export class Samples {
  readonly #by = new Map<string, number[]>();

  add(name: string, value: number): void {
    const before = this.#by.get(name);
    if (before === undefined) this.#by.set(name, [value]);
    else before.push(value);
  }

  get all(): ReadonlyMap<string, readonly number[]> {
    return this.#by;
  }
}
