// SPDX-License-Identifier: Apache-2.0
// From the command line to a subcommand and from its outcome to an exit code. Errors become words in report.ts.
import { nearest, versionBlock } from '@peerpod-tls/daemon';
import { type Command, ExitCode, type Io } from './command.js';
import { entries, names, topHelp } from './help.js';
import { report } from './report.js';
import { styleFor } from './terminal/style.js';
import { usageError } from './usage.js';

const HELP_FLAGS: ReadonlySet<string> = new Set(['-h', '--h', '-help', '--help']);
const VERSION_FLAGS: ReadonlySet<string> = new Set(['version', '-version', '--version', '-v']);

/** Runs one command line and gives the exit code. Never rejects. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let program = 'peerpod';
  try {
    const [first, ...rest] = argv;
    if (first === undefined) {
      io.stderr.write(topHelp(styleFor({ tty: io.stderr.isTTY === true, env: io.env }).bold));
      return ExitCode.usage;
    }
    if (VERSION_FLAGS.has(first)) {
      io.stdout.write(`${versionBlock('peerpod').trimEnd()}\n`);
      return ExitCode.ok;
    }
    if (HELP_FLAGS.has(first) || (first === 'help' && rest.length === 0)) {
      io.stdout.write(topHelp(styleFor({ tty: io.stdout.isTTY === true, env: io.env }).bold));
      return ExitCode.ok;
    }
    const command = await select(first === 'help' ? (rest[0] ?? '') : first);
    program = `peerpod ${command.name}`;
    return await command.run(first === 'help' ? [...rest.slice(1), '-help'] : rest, io);
  } catch (error) {
    return report(io, program, error);
  }
}

async function select(word: string): Promise<Command> {
  const entry = entries.find(e => e.name === word);
  if (entry !== undefined) return entry.load();
  const near = nearest(word, names);
  const hint = near === undefined ? 'peerpod help lists the commands' : `did you mean peerpod ${near}?`;
  throw word.startsWith('-')
    ? usageError(
        `the command comes before its flags, ${JSON.stringify(word)} does not`,
        'peerpod <command> [flags]',
      )
    : usageError(`${JSON.stringify(word)} is no command of peerpod`, hint);
}
