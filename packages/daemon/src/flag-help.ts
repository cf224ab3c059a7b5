// SPDX-License-Identifier: Apache-2.0
// The help text of a table of flags: names to the left, words to the right. Shows names of environment variables and
// hard defaults, never a value from the environment: upstream's help printed secrets that way.
import { formatDuration, parseDuration } from './duration.js';
import type { Flag, FlagSpec } from './flag-types.js';

const WIDTH = 100;
const COLUMN = 30;

/** Renders the usage line and the flags, by group in the order in which the groups first appear. */
export function helpText<T extends Readonly<Record<string, Flag>>>(spec: FlagSpec<T>): string {
  const groups = new Map<string, [string, Flag][]>();
  for (const entry of Object.entries<Flag>(spec.flags)) {
    if (entry[1].hidden === true) continue;
    const title = entry[1].group ?? 'Flags';
    const group = groups.get(title);
    if (group === undefined) groups.set(title, [entry]);
    else group.push(entry);
  }
  const lines = [`Usage: ${spec.usage}`];
  for (const [title, flags] of groups) {
    lines.push('', `${title}:`);
    for (const [name, flag] of flags) lines.push(...flagLines(name, flag));
  }
  lines.push('', 'One dash or two, "-flag value" or "-flag=value"; a switch takes a value only with "=".');
  if ([...groups.values()].flat().some(([, flag]) => flag.env !== undefined)) {
    lines.push('A variable in [brackets] stands in for its flag; the command line wins. Empty means unset.');
  }
  lines.push('"-help" (-h) prints this text, "-version" (-V) the version.');
  if (spec.epilogue !== undefined) lines.push('', spec.epilogue);
  return `${lines.join('\n')}\n`;
}

function flagLines(name: string, flag: Flag): string[] {
  const alias = flag.alias === undefined ? '' : `-${flag.alias}, `;
  const left = `  ${alias}-${name}${placeholder(flag)}`;
  const notes = [describeDefault(flag), flag.env === undefined ? '' : `[${flag.env}]`].filter(
    note => note !== '',
  );
  const right = [...wrap(flag.describe, WIDTH - COLUMN), ...wrap(notes.join(' '), WIDTH - COLUMN)];
  const lines = right.map(line => ' '.repeat(COLUMN) + line);
  if (left.length + 2 > COLUMN) return [left, ...lines];
  const [first = '', ...more] = lines;
  return [left.padEnd(COLUMN) + first.trimStart(), ...more];
}

function placeholder(flag: Flag): string {
  if (flag.type === 'boolean') return '';
  if (flag.placeholder !== undefined) return ` ${flag.placeholder}`;
  const words = { string: 'TEXT', integer: 'N', duration: 'DURATION', list: 'A,B', choice: '' } as const;
  return flag.type === 'choice' ? ` ${flag.choices.join('|')}` : ` ${words[flag.type]}`;
}

function describeDefault(flag: Flag): string {
  if (flag.secret === true) return '';
  switch (flag.type) {
    case 'boolean':
      return flag.default === true ? '(default true)' : '';
    case 'list':
      return flag.default === undefined || flag.default.length === 0
        ? ''
        : `(default ${flag.default.join(',')})`;
    case 'duration':
      return flag.default === undefined
        ? ''
        : `(default ${formatDuration(parseDuration(flag.default) ?? Number.NaN)})`;
    default:
      return flag.default === undefined || flag.default === '' ? '' : `(default ${flag.default})`;
  }
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return line === '' ? lines : [...lines, line];
}
