// SPDX-License-Identifier: Apache-2.0
// What a command of peerpod is: its place on the command line, and the way to its code. How a command line is read is
// command-line.ts; no command lives here.
import { type Flag, type FlagValues, flagValues } from '@peerpod-tls/daemon/terminal';
import type { Io } from './io.js';
import { type Style, styleFor } from './terminal/style.js';

export type Flags = Readonly<Record<string, Flag>>;

/** Flags that every command has. */
const commonFlags = {
  'no-color': { type: 'boolean', default: false, describe: 'print no colours (NO_COLOR does the same)' },
} as const satisfies Flags;

/** The flag of commands whose result a script may want. */
export const jsonFlag = {
  json: { type: 'boolean', default: false, describe: 'print the result as JSON' },
} as const satisfies Flags;

/** What a person typed behind a command, read and checked. */
export interface Line<V> {
  readonly values: V;
  /** The words between the flags, in their order. */
  readonly words: readonly string[];
  /** What stood behind `--`; null when there was none. */
  readonly tail: readonly string[] | null;
  readonly out: Style;
  readonly err: Style;
}

/** The words and texts of a command line by flag name, before anything is known of their types. */
export interface GivenLine {
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly words: readonly string[];
  readonly tail: readonly string[] | null;
}

interface Described {
  /** As yargs takes it: the name, then `<word>` for one that must follow, `[word]` for one that may, `..` for several. */
  readonly command: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** A sentence or two at the top of the command's help. */
  readonly about: string;
  /** What the words mean, by the name they have in `command`. */
  readonly words?: Readonly<Record<string, WordSpec>>;
  /** What to say when a word that must follow is missing. */
  readonly missing?: string;
  /** What may follow behind `--`, for the usage line. */
  readonly tail?: string;
  /** Complete command lines with a remark each, for the help. */
  readonly examples?: readonly (readonly [command: string, remark: string])[];
  /** Commands below this one: `certs init`. */
  readonly verbs?: readonly Command[];
}

export interface WordSpec {
  readonly describe: string;
  readonly choices?: readonly string[];
}

/** A command as the dispatcher and the help know it. Its code is loaded when it is run. */
export interface Command extends Described {
  readonly flags: Flags;
  /** Reads the values; throws UsageError. Null for a command that is only a roof over its verbs. */
  readonly prepare: ((given: GivenLine, io: Io) => () => Promise<number>) | null;
}

type Handler<T extends Flags> = (line: Line<FlagValues<T>>, io: Io) => Promise<number>;

/** A command with its flags, its words and the way to its code. */
export function command<const T extends Flags>(
  spec: Described & { readonly flags: T; readonly load: () => Promise<Handler<T>> },
): Command {
  const { flags, load, ...described } = spec;
  return {
    ...described,
    flags: { ...flags, ...commonFlags },
    prepare: (given, io) => {
      const { values } = flagValues(flags, given.flags, io.env);
      const common = flagValues(commonFlags, given.flags, io.env).values;
      const style = (stream: { readonly isTTY?: boolean }) =>
        styleFor({ tty: stream.isTTY === true, env: io.env, noColour: common['no-color'] });
      const { words, tail } = given;
      const line = { values, words, tail, out: style(io.stdout), err: style(io.stderr) };
      return async () => (await load())(line, io);
    },
  };
}

/** A command that only holds others together. */
export function roof(spec: Described & { readonly verbs: readonly Command[] }): Command {
  return { ...spec, flags: commonFlags, prepare: null };
}
