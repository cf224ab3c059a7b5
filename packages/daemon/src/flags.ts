// SPDX-License-Identifier: Apache-2.0
// Flags the way Go programs take them, checked before anything opens: one dash or two, `-f v` or `-f=v`, a boolean
// bare or with `=`, default < environment < command line. The help text is in flag-help.ts, reading one value in
// flag-value.ts.
import { Parser } from 'yargs/helpers';
import { UsageError } from './errors.js';
import { helpText } from './flag-help.js';
import type { Flag, FlagOrigin, FlagSpec, ParsedFlags } from './flag-types.js';
import { readDefault, readValue, type RawValue } from './flag-value.js';
import { nearest } from './nearest.js';

const MARK = ':';

/** What {@link parseFlags} gives when the command line asks for help. */
export interface HelpRequest {
  readonly t: 'help';
  readonly text: string;
}

/**
 * Reads the command line and the environment against a table of flags.
 *
 * Unlike Go's, it refuses what is silently ignored there: stray words, and values of environment variables that do
 * not fit their flag.
 *
 * @throws UsageError (`ERR_USAGE`) naming the flag or the variable, with the way out as its hint
 */
export function parseFlags<const T extends Readonly<Record<string, Flag>>>(
  spec: FlagSpec<T>,
): ParsedFlags<T> | HelpRequest {
  const table = new Map<string, Flag>(Object.entries(spec.flags));
  const words = readWords(spec, table);
  if (words.t === 'help') return { t: 'help', text: helpText(spec) };

  return { t: 'flags', ...flagValues(spec.flags, assemble(words.flags, table), spec.env), rest: words.rest };
}

/**
 * The values of a table of flags, from the texts that a command line gave for each of them, the environment, and the
 * defaults. For programs whose command line is cut up elsewhere.
 *
 * @throws UsageError (`ERR_USAGE`) naming the flag or the variable
 */
export function flagValues<const T extends Readonly<Record<string, Flag>>>(
  flags: T,
  given: ReadonlyMap<string, readonly string[]>,
  env: NodeJS.ProcessEnv,
): Pick<ParsedFlags<T>, 'values' | 'origin'> {
  const values: Record<string, unknown> = {};
  const origin: Record<string, FlagOrigin> = {};
  for (const [name, flag] of Object.entries<Flag>(flags)) {
    const fromEnv = flag.env === undefined ? '' : (env[flag.env] ?? '');
    const raws: RawValue[] = [];
    if (fromEnv !== '') raws.push({ text: fromEnv, from: 'environment' });
    for (const text of given.get(name) ?? []) raws.push({ text, from: 'command-line' });
    // Every value is read, also one that is overridden: a wrong variable is a mistake to hear about now.
    const read = raws.map(raw => readValue(name, flag, raw));
    origin[name] = raws.at(-1)?.from ?? 'default';
    if (flag.type === 'list' && read.length > 0) values[name] = read.flat();
    else values[name] = read.length > 0 ? read.at(-1) : readDefault(name, flag);
  }
  // Both objects were filled from the keys of T with values of its flags' types, which the compiler cannot follow.
  return { values, origin } as unknown as Pick<ParsedFlags<T>, 'values' | 'origin'>;
}

type Words =
  | { readonly t: 'help' }
  | {
      readonly t: 'words';
      readonly flags: readonly (readonly [string, string])[];
      readonly rest: readonly string[];
    };

/** Cuts the command line into flags with their values and the words after them, by Go's rules. */
function readWords<T extends Readonly<Record<string, Flag>>>(
  spec: FlagSpec<T>,
  table: ReadonlyMap<string, Flag>,
): Words {
  const aliases = new Map<string, string>();
  for (const [name, flag] of table) if (flag.alias !== undefined) aliases.set(flag.alias, name);
  const resolve = (name: string): string | undefined => (table.has(name) ? name : aliases.get(name));
  const flags: [string, string][] = [];
  const { argv } = spec;
  let i = 0;
  while (i < argv.length) {
    const word = argv[i] ?? '';
    if (word === '--') {
      i += 1;
      break;
    }
    if (word.length < 2 || !word.startsWith('-')) break;
    const body = word.slice(word.startsWith('--') ? 2 : 1);
    const equals = body.indexOf('=');
    const typed = equals === -1 ? body : body.slice(0, equals);
    const name = resolve(typed);
    if (name === undefined) {
      if (typed === 'h' || typed === 'help') return { t: 'help' };
      throw unknownFlag(spec.program, typed, [...table.keys()]);
    }
    i += 1;
    if (equals !== -1) {
      flags.push([name, body.slice(equals + 1)]);
    } else if (table.get(name)?.type === 'boolean') {
      flags.push([name, 'true']);
    } else {
      flags.push([name, nextValue(name, argv[i], resolve)]);
      i += 1;
    }
  }
  const rest = argv.slice(i);
  checkRest(spec, rest, flags.at(-1), table);
  return { t: 'words', flags, rest };
}

function nextValue(
  name: string,
  next: string | undefined,
  resolve: (name: string) => string | undefined,
): string {
  if (next === undefined) throw new UsageError(`-${name} needs a value`, `write -${name}=VALUE`);
  // Go would take `-cert-key` as the value of a `-cert-file` whose own value was forgotten.
  const bare = /^--?([^=-][^=]*)/.exec(next)?.[1];
  if (bare !== undefined && resolve(bare) !== undefined) {
    throw new UsageError(
      `-${name} needs a value, but the next word is the flag ${next.split('=')[0]}`,
      `if that really is the value, write -${name}=${next.split('=')[0]}`,
    );
  }
  return next;
}

function unknownFlag(program: string, typed: string, names: readonly string[]): UsageError {
  const close = nearest(typed, names);
  const all = `"${program} -help" lists the flags`;
  return new UsageError(
    `-${typed} is not a flag of ${program}`,
    close === undefined ? all : `did you mean -${close}? ${all}`,
  );
}

function checkRest<T extends Readonly<Record<string, Flag>>>(
  spec: FlagSpec<T>,
  rest: readonly string[],
  last: readonly [string, string] | undefined,
  table: ReadonlyMap<string, Flag>,
): void {
  const { min, max, describe } = spec.positionals ?? { min: 0, max: 0, describe: '' };
  if (rest.length < min) {
    throw new UsageError(`${spec.program} needs ${describe}`, `"${spec.program} -help" shows how`);
  }
  if (rest.length <= max) return;
  const stray = rest[max] ?? '';
  const boolean =
    last !== undefined && rest[0] === stray && table.get(last[0])?.type === 'boolean' ? last[0] : null;
  if (boolean !== null && /^(true|false|yes|no|on|off|0|1)$/i.test(stray)) {
    throw new UsageError(
      `the word ${JSON.stringify(stray)} after -${boolean} belongs to no flag`,
      `a switch takes its value with an equals sign: -${boolean}=${/^(true|yes|on|1)$/i.test(stray)}`,
    );
  }
  throw new UsageError(
    `the word ${JSON.stringify(stray)} belongs to no flag`,
    'flags start with a dash and stand before other words; a value with spaces needs quotes',
  );
}

/**
 * Hands the cut-up flags to yargs' parser, which collects the values of each. Only its parser is used: the rest of
 * yargs knows the environment, configuration files, plurals and negations, and every one of those would be a second
 * way to set a security switch.
 */
function assemble(
  flags: readonly (readonly [string, string])[],
  table: ReadonlyMap<string, Flag>,
): ReadonlyMap<string, readonly string[]> {
  const parsed = Parser.detailed(
    // The mark before each value keeps yargs from taking off quotes that belong to it.
    flags.map(([name, value]) => `--${name}=${MARK}${value}`),
    {
      string: [...table.keys()],
      configuration: {
        'boolean-negation': false,
        'camel-case-expansion': false,
        'dot-notation': false,
        'duplicate-arguments-array': true,
        'parse-numbers': false,
        'short-option-groups': false,
      },
    },
  );
  if (parsed.error !== null) throw new UsageError(parsed.error.message);
  const given = new Map<string, readonly string[]>();
  for (const name of table.keys()) {
    const value: unknown = parsed.argv[name];
    if (Array.isArray(value)) given.set(name, value.map(unmark));
    else if (typeof value === 'string') given.set(name, [unmark(value)]);
  }
  return given;
}

function unmark(value: unknown): string {
  return String(value).slice(MARK.length);
}
