// SPDX-License-Identifier: Apache-2.0
// Finds the processes of a container in /proc: by a mark in their environment, by session, by descent. There is no
// cgroup and no namespace here, so a process that leaves its session and clears its environment is out of sight.
import { readdirSync, readFileSync } from 'node:fs';

/** Environment variable that marks every process of a container; inherited by what it starts. */
export const MARK = 'PEERPOD_DEV_CONTAINER';

/** What /proc/PID/stat says (proc(5)). */
export interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** Zombie or dead: holds a number and nothing else. */
  readonly over: boolean;
  /** Stopped by a signal. */
  readonly stopped: boolean;
  /** Clock ticks since boot; with the number it names a process for good. */
  readonly started: number;
  /** Clock ticks in user and kernel mode, those of waited-for children included. */
  readonly userTicks: number;
  readonly systemTicks: number;
  readonly threads: number;
}

export interface Belonging {
  /** Value of the mark. */
  readonly mark: string;
  /** Sessions led by processes that still run: a session number is only ours as long as its leader is. */
  readonly sessions: ReadonlySet<number>;
}

/** The living processes of a container. */
export function processesOf(belonging: Belonging): ProcessFacts[] {
  const all = readdirSync('/proc')
    .filter(name => /^[1-9][0-9]*$/.test(name))
    .map(name => readStat(Number(name)))
    .filter(facts => facts !== null);
  const mine = new Set<number>();
  for (const facts of all) {
    if (belonging.sessions.has(facts.session) || isMarked(facts.pid, belonging.mark)) mine.add(facts.pid);
  }
  for (let before = -1; before !== mine.size;) {
    before = mine.size;
    for (const facts of all) if (mine.has(facts.parent)) mine.add(facts.pid);
  }
  return all.filter(facts => mine.has(facts.pid) && !facts.over);
}

/** Null when the process is gone. */
export function readStat(pid: number): ProcessFacts | null {
  const text = read(`/proc/${pid}/stat`);
  // The name in brackets may hold anything, brackets and spaces too; the last bracket ends it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields.length < 20) return null;
  const number = (field: number): number => Number(fields[field - 3] ?? 0);
  return {
    pid,
    over: fields[0] === 'Z' || fields[0] === 'X',
    stopped: fields[0] === 'T',
    parent: number(4),
    session: number(6),
    userTicks: number(14) + number(16),
    systemTicks: number(15) + number(17),
    threads: number(20),
    started: number(22),
  };
}

function isMarked(pid: number, mark: string): boolean {
  return read(`/proc/${pid}/environ`).split('\0').includes(`${MARK}=${mark}`);
}

/** Empty for a file that is gone or not ours to read. */
export function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
