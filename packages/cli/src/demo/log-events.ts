// SPDX-License-Identifier: Apache-2.0
// The adaptor's log, read line by line: JSON events with typed access to their fields. What they mean is story.ts.
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** One line of a log: its constant message and its fields. */
export interface LogEvent {
  readonly message: string;
  readonly level: 'quiet' | 'warn' | 'error';
  text(field: string): string;
  number(field: string): number | undefined;
  list(field: string): readonly string[];
  nested(field: string): LogEvent | null;
}

/** The line as an event; null when it is no JSON object (a banner, a crash). */
export function parseLogLine(line: string): LogEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  return eventOf(value);
}

function eventOf(value: unknown): LogEvent | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const fields = new Map<string, unknown>(Object.entries(value));
  const text = (field: string) => {
    const found = fields.get(field);
    if (typeof found === 'string') return found;
    return typeof found === 'number' || typeof found === 'boolean' ? String(found) : '';
  };
  const number = (field: string) => {
    const found = fields.get(field);
    return typeof found === 'number' ? found : undefined;
  };
  return {
    message: text('msg'),
    level: levelOf(text('level')),
    text,
    number,
    list: field => {
      const found = fields.get(field);
      return Array.isArray(found) ? found.filter(item => typeof item === 'string') : [];
    },
    nested: field => eventOf(fields.get(field)),
  };
}

function levelOf(word: string): LogEvent['level'] {
  if (word === 'warn') return 'warn';
  return word === 'error' || word === 'fatal' ? 'error' : 'quiet';
}

/** Calls `onLine` for each line of the stream, and resolves when the stream is over. */
export async function readLog(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const lines = createInterface({ input: stream, crlfDelay: Infinity });
  for await (const line of lines) onLine(line);
}
