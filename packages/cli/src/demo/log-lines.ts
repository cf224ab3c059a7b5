// SPDX-License-Identifier: Apache-2.0
// The lines that other programs log, made fit for a person. They are shown and nothing more: no text in them is looked
// for, since what a program logs may change with every version of it.
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { printable } from '../terminal/text.js';

/** One line of a log. */
export interface LogLine {
  readonly level: 'quiet' | 'warn' | 'error';
  /** Message and fields on one line. */
  readonly text: string;
}

/** What every line has and no person needs again. */
const USUAL: ReadonlySet<string> = new Set(['level', 'time', 'name', 'pid', 'msg']);
const LONGEST_VALUE = 120;

/** A line as it is shown: JSON as `message field=value ...`, anything else (a banner, a crash) as it is. */
export function logLine(line: string): LogLine {
  const fields = fieldsOf(line);
  if (fields === null) return { level: 'quiet', text: printable(line) };
  const texts = fields
    .filter(([name]) => !USUAL.has(name))
    .flatMap(([name, value]) => fieldText(name, value));
  const known = new Map(fields);
  return {
    level: levelOf(known.get('level')),
    text: printable([known.get('msg') ?? '', ...texts].join(' ')),
  };
}

function fieldsOf(line: string): [string, unknown][] | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value)
      : null;
  } catch {
    return null;
  }
}

/** Lists are short and objects one level deep in what our programs log; a stack is nothing to read on the way. */
function fieldText(name: string, value: unknown): string[] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value)
      .filter(([inner]) => inner !== 'stack')
      .flatMap(([inner, deep]) => (typeof deep === 'object' ? [] : fieldText(`${name}.${inner}`, deep)));
  }
  const text = Array.isArray(value) ? value.join(',') : String(value);
  if (text === '' || value === null) return [];
  const short = text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text;
  return [`${name}=${/\s/u.test(short) ? JSON.stringify(short) : short}`];
}

function levelOf(word: unknown): LogLine['level'] {
  if (word === 'warn') return 'warn';
  return word === 'error' || word === 'fatal' ? 'error' : 'quiet';
}

/** Calls `onLine` for each line of the stream, and resolves when the stream is over. */
export async function readLog(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const lines = createInterface({ input: stream, crlfDelay: Infinity });
  for await (const line of lines) onLine(line);
}
