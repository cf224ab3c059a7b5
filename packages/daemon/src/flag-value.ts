// SPDX-License-Identifier: Apache-2.0
// Reads the text of one flag as the flag's type, and says what is wrong with it. Knows nothing of other flags.
import { formatDuration, parseDuration } from './duration.js';
import { UsageError } from './errors.js';
import type { Flag } from './flag-types.js';
import { nearest } from './nearest.js';

/** A value as it was given. */
export interface RawValue {
  readonly text: string;
  readonly from: 'environment' | 'command-line';
}

/** A timer of Node.js fires at once when asked to wait longer than this many milliseconds. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** The boolean words of Go's flag package. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map(word => [word, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map(word => [word, false] as const),
]);

/** @throws UsageError when the text is not a value of the flag's type, or out of its range */
export function readValue(name: string, flag: Flag, raw: RawValue): unknown {
  const where = raw.from === 'environment' ? `${flag.env} (environment)` : `-${name}`;
  // Values of variables often come out of files, with a newline at the end that nobody sees.
  const text = flag.type === 'string' ? raw.text : raw.text.trim();
  const wrong = (what: string, hint: string): UsageError =>
    new UsageError(
      flag.secret === true
        ? `the value of ${where} is ${what}`
        : `${where} is ${JSON.stringify(raw.text)}, ${what}`,
      hint,
    );
  if (raw.text.includes('\0')) throw wrong('which has a zero byte in it', 'pass text');

  switch (flag.type) {
    case 'string':
      if (text === '' && flag.emptyOk !== true) {
        throw new UsageError(`${where} is empty`, `give it a value or leave it out${fallback(flag)}`);
      }
      return text;
    case 'boolean': {
      const value = BOOLEANS.get(raw.from === 'environment' ? text.toLowerCase() : text);
      if (value === undefined)
        throw wrong('neither true nor false', 'write true or false (1, t, 0 and f work too)');
      return value;
    }
    case 'integer':
      return readInteger(flag, text, wrong);
    case 'duration':
      return readDuration(flag, text, wrong);
    case 'list':
      return readList(text, wrong);
    case 'choice': {
      if (flag.choices.includes(text)) return text;
      const close = nearest(text, flag.choices);
      const all = `the choices are ${flag.choices.join(', ')}`;
      throw wrong(
        'which is not one of the choices',
        close === undefined ? all : `did you mean ${close}? ${all}`,
      );
    }
    default:
      return flag satisfies never;
  }
}

/** The value of a flag that was not given. A default that does not fit its own flag is a bug and is thrown as one. */
export function readDefault(name: string, flag: Flag): unknown {
  switch (flag.type) {
    case 'boolean':
      return flag.default ?? false;
    case 'list':
      return flag.default ?? [];
    case 'duration': {
      if (flag.default === undefined) return undefined;
      const ms = parseDuration(flag.default);
      if (ms === null) throw new TypeError(`internal error: the default of -${name} is not a duration`);
      return ms;
    }
    default:
      return flag.default;
  }
}

type Wrong = (what: string, hint: string) => UsageError;

function readInteger(flag: Flag & { type: 'integer' }, text: string, wrong: Wrong): number {
  const min = flag.min ?? Number.MIN_SAFE_INTEGER;
  const max = flag.max ?? Number.MAX_SAFE_INTEGER;
  const range = `write a whole number${flag.min === undefined ? '' : `, ${min} or more`}${flag.max === undefined ? '' : `, at most ${max}`}`;
  if (/^[+-]?0\d/.test(text))
    throw wrong('which could be octal', 'write the number without the leading zero');
  if (!/^[+-]?(\d+|0[xX][\da-fA-F]+)$/.test(text)) throw wrong('not a whole number', range);
  const digits = text.replace(/^[+-]/, '');
  const value = text.startsWith('-') ? -Number(digits) : Number(digits);
  if (!Number.isSafeInteger(value) || value < min || value > max) throw wrong('out of range', range);
  return value === 0 ? 0 : value;
}

function readDuration(flag: Flag & { type: 'duration' }, text: string, wrong: Wrong): number {
  const ms = parseDuration(text);
  if (ms === null) {
    const unit = /^\d+$/.test(text) ? `, like ${text}s or ${text}m` : ', like 90s, 5m or 1h30m';
    throw wrong('not a duration', `write a number with its unit${unit}`);
  }
  const min = flag.min === undefined ? 0 : (parseDuration(flag.min) ?? 0);
  const max = flag.max === undefined ? LONGEST_TIMER_MS : (parseDuration(flag.max) ?? LONGEST_TIMER_MS);
  if (ms < min) throw wrong('too short', `${formatDuration(min)} is the shortest`);
  if (ms > max) throw wrong('too long', `${formatDuration(max)} is the longest`);
  return ms;
}

function readList(text: string, wrong: Wrong): readonly string[] {
  if (text === '') throw wrong('an empty list', 'give it values with commas between, or leave it out');
  const items = text.split(',').map(item => item.trim());
  if (items.includes(''))
    throw wrong('a list with an empty place', 'write the values with one comma between each');
  return items;
}

function fallback(flag: Flag & { type: 'string' }): string {
  return flag.default === undefined || flag.default === '' || flag.secret === true
    ? ''
    : ` for ${flag.default}`;
}
