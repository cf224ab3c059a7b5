// SPDX-License-Identifier: Apache-2.0
// Numbers: what a process costs according to /proc, and how a row of samples is summed up. Starts nothing.
import { readFileSync } from 'node:fs';

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

/** CPU a process has used so far, user and system, in milliseconds (proc(5), stat fields 14 and 15, at 100 ticks a second). */
export function cpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
