// SPDX-License-Identifier: Apache-2.0
// A command line through yargs: commands and their verbs, words, flags, help and shell completion. The only file that
// knows yargs; which commands there are is commands/, what a flag's text means is package daemon's, as for the daemons.
import { codeOf } from '@peerpod-tls/base';
import { type Flag, UsageError, nearest } from '@peerpod-tls/daemon/terminal';
import yargs, { type Argv, type Options } from 'yargs';
import type { Command, GivenLine } from './command.js';
import type { Io } from './io.js';

/** What a command line asks for: a command to run, or a text that yargs made (help, completion). */
export type Asked =
  { readonly t: 'run'; readonly run: () => Promise<number> } | { readonly t: 'text'; readonly text: string };

/**
 * Go's flags have one dash or two and long names, which yargs reads once it takes no letters apart. Its other
 * conveniences are second ways to say a thing, and are off.
 */
const GRAMMAR = {
  'short-option-groups': false,
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'duplicate-arguments-array': true,
  'flatten-duplicate-arrays': true,
  'populate--': true,
} as const;

const VOICE = {
  'Options:': 'Flags:',
  'Positionals:': 'Words:',
  string: 'text',
  boolean: 'switch',
  'Not enough arguments following: %s': '-%s needs a value',
};

const ABOUT = 'peerpod: try, drive and inspect mutual TLS between peer-pod sidecars';

const EXAMPLES = [
  ['peerpod demo --once', 'the whole story once'],
  ["peerpod run --name web -- sh -c 'uname -a; exit 3'", 'a command in a pod VM of its own'],
  ['peerpod agent GetGuestDetails --sandbox web', 'ask the agent of a pod'],
  ['peerpod certs init pki', 'an authority for manual TLS'],
] as const;

const EPILOGUE = `Flags take one dash or two, and a value after a space or "="; a variable in [brackets] stands in for its flag.
Results go to standard output, remarks to standard error. Colours need a terminal and yield to NO_COLOR and -no-color.
Exit code: 0 done, 1 failed, 2 wrong command line; run passes the code of its command on.`;

const LONGEST_LINE = 110;
const COMPLETION = 'completion';
/** What the completion script of yargs asks with. */
const COMPLETION_ASKED = 'get-yargs-completions';
const HELP_NAMES: ReadonlySet<string> = new Set(['help', 'h']);

/**
 * Reads a command line. `entered` hears the words of the command that it belongs to, also when it is refused.
 * @throws UsageError
 */
export function readCommandLine(
  commands: readonly Command[],
  argv: readonly string[],
  io: Io,
  entered: (name: string) => void = () => {},
): Asked {
  const [first = ''] = argv;
  const names = [...commands.map(nameOf), COMPLETION];
  if (!first.startsWith('-') && !names.includes(first)) throw unknownCommand(first, names);
  const found: { run?: () => Promise<number> } = {};
  let at: Command | undefined;
  let path: readonly string[] = [];
  const reader = yargs()
    .scriptName('peerpod')
    .locale('en')
    .updateStrings(VOICE)
    .parserConfiguration(GRAMMAR)
    .usage(`${ABOUT}\n\nUsage: $0 <command> [words] [flags]`)
    .example(EXAMPLES.map(([line, remark]): [string, string] => [line, remark]))
    .epilogue(EPILOGUE)
    .version(false)
    .help('help', 'show this help')
    .alias('help', 'h')
    .exitProcess(false)
    .showHelpOnFail(false)
    .wrap(Math.min(LONGEST_LINE, io.stdout.columns ?? LONGEST_LINE))
    .fail((message: string | null, error: Error | undefined) => {
      if (codeOf(error) === 'ERR_USAGE') throw error;
      // A word that is missing is the one thing that yargs finds without an error of its own.
      const missing = error === undefined ? at?.missing : undefined;
      const name = ['peerpod', ...path].join(' ');
      throw new UsageError(
        missing ?? message ?? error?.message ?? 'wrong command line',
        `${name} -help shows how`,
      );
    });
  const visit: Visit = {
    io,
    dashes: argv.includes('--'),
    enter: (command, words) => {
      [at, path] = [command, words];
      entered(words.join(' '));
    },
    choose: run => (found.run = run),
  };
  for (const command of commands) register(reader, command, [], visit);
  reader.completion(COMPLETION, 'print a completion script for bash or zsh');

  let text = '';
  reader.parse(plainSwitches(argv, switchesOf(commands)).map(lent), {}, (_error, _argv, output) => {
    text = output;
  });
  if (text !== '') return { t: 'text', text: `${text}\n` };
  if (found.run !== undefined) return { t: 'run', run: found.run };
  throw unknownCommand(first, names);
}

/** The text of `peerpod help`. */
export function topHelp(commands: readonly Command[], io: Io): string {
  const asked = readCommandLine(commands, ['--help'], io);
  return asked.t === 'text' ? asked.text : '';
}

interface Visit {
  readonly io: Io;
  /** Whether the line has a `--`; yargs tells it only when something follows. */
  readonly dashes: boolean;
  readonly enter: (command: Command, path: readonly string[]) => void;
  readonly choose: (run: () => Promise<number>) => void;
}

function register(reader: Argv, command: Command, above: readonly string[], visit: Visit): void {
  const path = [...above, nameOf(command)];
  let run: (() => Promise<number>) | undefined;
  reader.command({
    command: command.command,
    describe: command.summary,
    builder: inner => {
      visit.enter(command, path);
      describe(inner, command, path);
      for (const verb of command.verbs ?? []) register(inner, verb, path, visit);
      // Before yargs' own checks, which know neither our hints nor which of two mistakes to tell first.
      return inner.middleware(argv => {
        // The middleware of a roof sees the lines of its verbs too.
        const verb = command.verbs?.some(known => nameOf(known) === String(argv._[path.length] ?? ''));
        if (verb !== true && argv['help'] !== true && argv[COMPLETION_ASKED] === undefined)
          run = prepare(command, path, argv, visit);
      }, true);
    },
    handler: () => {
      if (run !== undefined) visit.choose(run);
    },
  });
}

/** Else a verb would have the flags of its roof too, and would need the words that its roof needs. */
const LOCAL = { global: false } as const;

function describe(reader: Argv, command: Command, path: readonly string[]): void {
  const words = command.command.split(' ').slice(1);
  const verbs =
    command.verbs === undefined ? [] : [words.length === 0 && command.prepare === null ? '<verb>' : ''];
  const tail = command.tail === undefined ? [] : [command.tail];
  const usage = ['Usage: peerpod', ...path, ...words, ...verbs, '[flags]', ...tail].filter(
    part => part !== '',
  );
  reader
    .usage(`${usage.join(' ')}\n\n${command.about}`)
    .example((command.examples ?? []).map(([line, remark]): [string, string] => [line, remark]))
    .epilogue('');
  for (const [name, { describe: text, choices }] of Object.entries(command.words ?? {})) {
    reader.option(name, LOCAL).positional(name, {
      type: 'string',
      describe: text,
      ...(choices === undefined ? {} : { choices }),
    });
  }
  for (const [name, flag] of Object.entries(command.flags)) {
    reader.option(name, { ...optionOf(flag), ...LOCAL });
  }
}

/** A flag as yargs documents and completes it. Its text is read by the daemons' grammar afterwards. */
function optionOf(flag: Flag): Options {
  const variable = flag.env === undefined ? '' : ` [${flag.env}]`;
  const describe = `${flag.describe}${variable}`;
  if (flag.type === 'boolean') return { type: 'boolean', describe };
  const shown = flag.type === 'list' ? flag.default?.join(',') : flag.default?.toString();
  return {
    type: 'string',
    requiresArg: true,
    describe,
    ...(shown === undefined || shown === '' ? {} : { defaultDescription: shown }),
    ...(flag.type === 'choice' ? { choices: flag.choices } : {}),
  };
}

/** Checks everything about a line and makes the command ready. @throws UsageError */
function prepare(
  command: Command,
  path: readonly string[],
  argv: Readonly<Record<string, unknown>>,
  { io, dashes }: Visit,
): () => Promise<number> {
  const name = path.join(' ');
  const given = givenLine(command, argv, dashes);
  const known = Object.keys(command.flags);
  const names = new Set([...known, ...wordNames(command), ...HELP_NAMES, '_', '$0', '--']);
  const stranger = Object.keys(argv).find(key => !names.has(key));
  const all = `peerpod ${name} -help lists the flags`;
  if (stranger !== undefined) {
    const near = nearest(stranger, known);
    throw new UsageError(
      `-${stranger} is not a flag of peerpod ${name}`,
      near === undefined ? all : `did you mean -${near}? ${all}`,
    );
  }
  const extra = Array.isArray(argv['_']) ? argv['_'][path.length] : undefined;
  if (extra !== undefined) throw strayWord(returned(String(extra)), command, name);
  if (given.tail !== null && command.tail === undefined) {
    throw new UsageError('it takes nothing behind --', all);
  }
  if (command.prepare === null) throw strayWord(undefined, command, name);
  return command.prepare(given, io);
}

function strayWord(word: string | undefined, command: Command, name: string): UsageError {
  const verbs = (command.verbs ?? []).map(nameOf);
  if (verbs.length === 0) {
    return new UsageError(`${JSON.stringify(word)} is one word too many`, `see peerpod ${name} -help`);
  }
  if (word === undefined) {
    return new UsageError(`${name} needs to know what to do`, `say one of ${verbs.join(', ')}`);
  }
  const near = nearest(word, verbs);
  const all = command.prepare === null ? '' : 'leave it out, or ';
  return new UsageError(
    `${JSON.stringify(word)} is nothing that ${name} does`,
    near === undefined ? `${all}say one of ${verbs.join(', ')}` : `did you mean peerpod ${name} ${near}?`,
  );
}

/** yargs' findings as texts: what was typed, by flag, in order. */
function givenLine(command: Command, argv: Readonly<Record<string, unknown>>, dashes: boolean): GivenLine {
  const texts = (value: unknown) => (value === undefined ? [] : [value].flat().map(String).map(returned));
  const flags = new Map<string, readonly string[]>();
  for (const name of Object.keys(command.flags)) {
    const given = texts(argv[name]);
    if (given.length > 0) flags.set(name, given);
  }
  const tail = argv['--'];
  return {
    flags,
    words: wordNames(command).flatMap(name => texts(argv[name])),
    tail: dashes ? texts(tail) : null,
  };
}

const nameOf = (command: Command): string => command.command.split(' ')[0] ?? '';

/** `stop <id..>` has the word `id`. */
const wordNames = (command: Command): string[] =>
  command.command
    .split(' ')
    .slice(1)
    .map(word => word.replaceAll(/[<>[\].]/gu, ''));

function unknownCommand(word: string, names: readonly string[]): UsageError {
  if (word.startsWith('-')) {
    return new UsageError(
      `the command comes before its flags, ${JSON.stringify(word)} does not`,
      'peerpod <command> [flags]',
    );
  }
  const near = nearest(word, [...names, 'help', 'version']);
  return new UsageError(
    `${JSON.stringify(word)} is no command of peerpod`,
    near === undefined ? 'peerpod help lists the commands' : `did you mean peerpod ${near}?`,
  );
}

/** The names of all switches, wherever they stand. */
function switchesOf(commands: readonly Command[]): ReadonlySet<string> {
  const below = commands.flatMap(({ verbs }) => [...switchesOf(verbs ?? [])]);
  const here = commands.flatMap(({ flags }) =>
    Object.entries(flags)
      .filter(([, flag]) => flag.type === 'boolean')
      .map(([name]) => name),
  );
  return new Set([...here, ...below]);
}

/** yargs makes nothing of a lone dash. No argument of a process can hold a NUL, so this stands for it. */
const LENT_DASH = '\0-';
const lent = (arg: string): string => (arg === '-' ? LENT_DASH : arg);
const returned = (arg: string): string => (arg === LENT_DASH ? '-' : arg);

const YES: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const NO: ReadonlySet<string> = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/**
 * Switches with a value in Go's words. yargs knows the word `true` alone and takes every other one, `1` and `TRUE`
 * too, for false.
 */
function plainSwitches(argv: readonly string[], switches: ReadonlySet<string>): string[] {
  const end = argv.indexOf('--');
  return argv.map((arg, i) => {
    const found = /^--?(?<name>[^=]+)=(?<value>.*)$/su.exec(arg)?.groups;
    const name = found?.['name'] ?? '';
    const value = found?.['value'] ?? '';
    if ((end !== -1 && i >= end) || !switches.has(name)) return arg;
    if (YES.has(value)) return `--${name}=true`;
    if (NO.has(value)) return `--${name}=false`;
    throw new UsageError(
      `-${name} is ${JSON.stringify(value)}, neither true nor false`,
      'write true or false (1, t, 0 and f work too)',
    );
  });
}
