// SPDX-License-Identifier: Apache-2.0
// What a flag is, and what type its value has. Types only: reading is in flags.ts, the help text in flag-help.ts.

interface FlagBase {
  /** One sentence for the help text. Says what it does, not what its default is: the help adds that. */
  readonly describe: string;
  /** Environment variable that stands in for the flag when the command line does not have it. Empty counts as unset. */
  readonly env?: string;
  /** The value is never shown, in no message and no help text. */
  readonly secret?: boolean;
  /** Word for the value in the help text, like `PATH`. */
  readonly placeholder?: string;
  /** Heading under which the help text lists the flag. */
  readonly group?: string;
  /** Another name for the flag, like a single letter. */
  readonly alias?: string;
  /** Accepted, but left out of the help text. */
  readonly hidden?: boolean;
}

export interface StringFlag extends FlagBase {
  readonly type: 'string';
  readonly default?: string;
  /** An empty text is a value, as in `-prefix=`. Otherwise it is refused, since it usually is a variable that was not set. */
  readonly emptyOk?: boolean;
}

export interface BooleanFlag extends FlagBase {
  readonly type: 'boolean';
  /** Left out: false. */
  readonly default?: boolean;
}

export interface IntegerFlag extends FlagBase {
  readonly type: 'integer';
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
}

export interface DurationFlag extends FlagBase {
  readonly type: 'duration';
  /** In Go's syntax, like `5m`. */
  readonly default?: string;
  /** Smallest value, in Go's syntax. Left out: `0s`. */
  readonly min?: string;
  /** Largest value, in Go's syntax. Left out: what a timer of Node.js can hold, about 24 days. */
  readonly max?: string;
}

/** Comma separated; given more than once, and by environment and command line, the values append. */
export interface ListFlag extends FlagBase {
  readonly type: 'list';
  readonly default?: readonly string[];
}

export interface ChoiceFlag extends FlagBase {
  readonly type: 'choice';
  readonly choices: readonly string[];
  readonly default?: string;
}

export type Flag = StringFlag | BooleanFlag | IntegerFlag | DurationFlag | ListFlag | ChoiceFlag;

/** The type of one flag's value: durations are milliseconds; a flag without a default may be undefined. */
export type FlagValue<F extends Flag> = F extends { type: 'boolean' }
  ? boolean
  : F extends { type: 'list' }
    ? readonly string[]
    : F extends { type: 'choice'; choices: readonly (infer C)[] }
      ? C | Unset<F>
      : F extends { type: 'integer' | 'duration' }
        ? number | Unset<F>
        : string | Unset<F>;

type Unset<F> = F extends { default: string | number } ? never : undefined;

/** Values by flag name. */
export type FlagValues<T extends Readonly<Record<string, Flag>>> = {
  readonly [K in keyof T]: FlagValue<T[K]>;
};

/** Where a value came from. */
export type FlagOrigin = 'default' | 'environment' | 'command-line';

export interface ParsedFlags<T extends Readonly<Record<string, Flag>>> {
  readonly t: 'flags';
  readonly values: FlagValues<T>;
  readonly origin: { readonly [K in keyof T]: FlagOrigin };
  /** The words after the flags, when the program takes any. */
  readonly rest: readonly string[];
}

export interface FlagSpec<T extends Readonly<Record<string, Flag>>> {
  /** Name of the program, with its sub-command if it has one. */
  readonly program: string;
  /** What stands after `Usage:`; several lines are fine. */
  readonly usage: string;
  readonly flags: T;
  /** The words after the program's name. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Words the program takes after its flags. Left out: none, and a stray word is refused. */
  readonly positionals?: { readonly min: number; readonly max: number; readonly describe: string };
  /** Lines after the flag list of the help text. */
  readonly epilogue?: string;
}
