// SPDX-License-Identifier: Apache-2.0
// What a subcommand is, what it gets from the process, and how its command line is read. No subcommand lives here.
import type { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';
import { type Flag, type FlagValues, parseFlags } from '@peerpod-tls/daemon';
import { usageError } from './usage.js';
import { type Style, styleFor } from './terminal/style.js';
import type { TerminalStream } from './terminal/live-region.js';

/** Exit codes of every subcommand; `run` passes its command's own code on and has one more (see run.ts). */
export const ExitCode = { ok: 0, failed: 1, usage: 2, interrupted: 130, hangup: 141 } as const;

/** The process around a command. Results go to `stdout`, everything said about them to `stderr`. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: TerminalStream & { readonly isTTY?: boolean };
  readonly stderr: TerminalStream & { readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
  /** Emits SIGINT, SIGTERM and SIGHUP: the process itself. */
  readonly signals: EventEmitter;
}

/** One subcommand, or one word of a subcommand. */
export interface Command {
  /** The words that select it, without the program: `certs issue`. */
  readonly name: string;
  readonly summary: string;
  run(argv: readonly string[], io: Io): Promise<number>;
}

export type Flags = Readonly<Record<string, Flag>>;

/** Flags that every subcommand has. */
export const commonFlags = {
  'no-color': { type: 'boolean', default: false, describe: 'print no colours (NO_COLOR does the same)' },
} as const satisfies Flags;

/** The flag of subcommands whose result a script may want. */
export const jsonFlag = {
  json: { type: 'boolean', default: false, describe: 'print the result as JSON' },
} as const satisfies Flags;

export interface CommandLineSpec<T extends Flags> {
  /** The words after the program name: `certs issue`. */
  readonly name: string;
  /** What follows the name in the usage line: `server|client [flags]`. */
  readonly usage: string;
  /** A sentence or two under the usage line. */
  readonly about: string;
  readonly flags: T;
  /** Complete command lines with a remark each, for the help. */
  readonly examples?: readonly (readonly [command: string, remark: string])[];
  /** How many words may stand between the flags; default none. */
  readonly words?: { readonly min: number; readonly max: number; readonly missing: string };
  /** Whether a `--` may follow, with words that are passed on as they are. */
  readonly tail?: boolean;
}

export interface CommandLine<T extends Flags> {
  readonly values: FlagValues<T>;
  readonly words: readonly string[];
  /** What stood behind `--`; null when there was none. */
  readonly tail: readonly string[] | null;
  readonly out: Style;
  readonly err: Style;
}

/**
 * Reads a subcommand's arguments. The daemons stop at the first word that is no flag, as Go does; at a terminal people
 * put flags behind words, so flags and words may mix here, and only `--` ends the flags. Returns null after having
 * printed the help that was asked for.
 */
export function readCommandLine<T extends Flags>(
  spec: CommandLineSpec<T>,
  argv: readonly string[],
  io: Io,
): CommandLine<T & typeof commonFlags> | null {
  const flags = { ...spec.flags, ...commonFlags };
  const { flagWords, words, tail } = separate(argv, flags);
  const program = `peerpod ${spec.name}`;
  const parsed = parseFlags({
    program,
    usage: `${program} ${spec.usage}\n\n${spec.about}`,
    flags,
    argv: flagWords,
    env: io.env,
  });
  if (parsed.t === 'help') {
    io.stdout.write(parsed.text + examplesText(spec.examples ?? []));
    return null;
  }
  if (tail !== null && spec.tail !== true) {
    throw usageError(`peerpod ${spec.name} takes nothing behind --`, `see peerpod ${spec.name} -help`);
  }
  const limit = spec.words ?? { min: 0, max: 0, missing: '' };
  if (words.length < limit.min) throw usageError(limit.missing, `see peerpod ${spec.name} -help`);
  const extra = words[limit.max];
  if (extra !== undefined) {
    throw usageError(`${JSON.stringify(extra)} is one word too many`, `see peerpod ${spec.name} -help`);
  }
  const values: FlagValues<T & typeof commonFlags> = parsed.values;
  const noColour = parsed.values['no-color'] === true;
  return {
    values,
    words,
    tail,
    out: styleFor({ tty: io.stdout.isTTY === true, env: io.env, noColour }),
    err: styleFor({ tty: io.stderr.isTTY === true, env: io.env, noColour }),
  };
}

interface Separated {
  readonly flagWords: readonly string[];
  readonly words: readonly string[];
  readonly tail: readonly string[] | null;
}

/** Flags with their values to one side, other words to the other. A single dash is a word: it stands for stdin. */
function separate(argv: readonly string[], flags: Flags): Separated {
  const flagWords: string[] = [];
  const words: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? '';
    if (arg === '--') return { flagWords, words, tail: argv.slice(i + 1) };
    if (!arg.startsWith('-') || arg === '-') {
      words.push(arg);
      continue;
    }
    flagWords.push(arg);
    const name = arg.replace(/^--?/u, '');
    const takesValue = Object.hasOwn(flags, name) && flags[name]?.type !== 'boolean';
    const value = argv[i + 1];
    if (takesValue && value !== undefined && value !== '--') {
      flagWords.push(value);
      i++;
    }
  }
  return { flagWords, words, tail: null };
}

/** The examples as help text, remarks aligned. */
export function examplesText(examples: readonly (readonly [string, string])[]): string {
  if (examples.length === 0) return '';
  const width = Math.max(...examples.map(([command]) => command.length));
  const lines = examples.map(([command, remark]) =>
    width > 56 ? `  # ${remark}\n  ${command}` : `  ${command.padEnd(width)}   # ${remark}`,
  );
  return `\nExamples:\n${lines.join('\n')}\n`;
}
