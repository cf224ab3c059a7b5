// SPDX-License-Identifier: Apache-2.0
// From the command line to a command and from its outcome to an exit code. Errors become words in report.ts.
import { versionBlock } from '@peerpod-tls/daemon/version';
import { ExitCode, type Io } from './io.js';

const VERSION_WORDS: ReadonlySet<string> = new Set(['version', '-version', '--version', '-V', '-v']);

/** Runs one command line and gives the exit code. Never rejects. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const [first, ...rest] = argv;
  // The version needs none of what the others load.
  if (first !== undefined && VERSION_WORDS.has(first)) {
    io.stdout.write(`${versionBlock('peerpod').trimEnd()}\n`);
    return ExitCode.ok;
  }
  const { readCommandLine, topHelp } = await import('./command-line.js');
  const { commands } = await import('./commands/index.js');
  const { report } = await import('./report.js');
  let program = 'peerpod';
  try {
    if (first === undefined) {
      io.stderr.write(topHelp(commands, io));
      return ExitCode.usage;
    }
    const line = first === 'help' ? [...rest, '--help'] : argv;
    const asked = readCommandLine(commands, line, io, name => {
      program = `peerpod ${name}`;
    });
    if (asked.t === 'text') {
      io.stdout.write(asked.text);
      return ExitCode.ok;
    }
    return await asked.run();
  } catch (error) {
    return report(io, program, error);
  }
}
