// SPDX-License-Identifier: Apache-2.0
// Flags the way Go programs take them, checked before anything opens: one dash or two, `-f v` or `-f=v`, a boolean
// bare or with `=`, default < environment < command line. The help text is in flag-help.ts, reading one value in
// flag-value.ts.
//
// By hand, because Go's grammar is none that a parser of this ecosystem can be told: yargs takes `-listen` for six
// letters, lets a later flag be the value of an earlier one, goes on behind the first word, and knows negations,
// plurals, configuration files and a prefix for the environment, each of which would be a second way to set a security
// switch. With all of that off, only collecting repeated values was left to it.
import { UsageError } from './errors.js';
import { helpText } from './flag-help.js';
import type { Flag, FlagOrigin, FlagSpec, ParsedFlags } from './flag-types.js';
import { readDefault, readValue, type RawValue } from './flag-value.js';
import { nearest } from './nearest.js';
import { isVersionRequest, versionBlock } from './version.js';

/** What {@link parseFlags} gives when the command line asks for a text instead of a run: the help, or the version. */
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
  const [program = ''] = spec.program.split(' ', 1);
  if (isVersionRequest(spec.argv)) return { t: 'help', text: versionBlock(program) };
  const read = readArguments(spec, table);
  if (read.t === 'help') return { t: 'help', text: helpText(spec) };
  if (read.t === 'version') return { t: 'help', text: versionBlock(program) };

  return { t: 'flags', ...flagValues(spec.flags, byName(read.flags), spec.env), rest: read.rest };
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
    const all = raws.map(raw => readValue(name, flag, raw));
    origin[name] = raws.at(-1)?.from ?? 'default';
    if (flag.type === 'list' && all.length > 0) values[name] = all.flat();
    else values[name] = all.length > 0 ? all.at(-1) : readDefault(name, flag);
  }
  // Both objects were filled from the keys of T with values of its flags' types, which the compiler cannot follow.
  return { values, origin } as unknown as Pick<ParsedFlags<T>, 'values' | 'origin'>;
}

type Arguments =
  | { readonly t: 'help' }
  | { readonly t: 'version' }
  | {
      readonly t: 'arguments';
      /** Names and texts, in the order in which they were given. */
      readonly flags: readonly (readonly [string, string])[];
      readonly rest: readonly string[];
    };

/** Cuts the command line into flags with their values and the words after them, by Go's rules. */
function readArguments<T extends Readonly<Record<string, Flag>>>(
  spec: FlagSpec<T>,
  table: ReadonlyMap<string, Flag>,
): Arguments {
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
      if (typed === 'V' || typed === 'version') return { t: 'version' };
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
  return { t: 'arguments', flags, rest };
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

/** The texts of each flag, in the order in which they were given. */
function byName(flags: readonly (readonly [string, string])[]): ReadonlyMap<string, readonly string[]> {
  const given = new Map<string, string[]>();
  for (const [name, text] of flags) given.set(name, [...(given.get(name) ?? []), text]);
  return given;
}
