// SPDX-License-Identifier: Apache-2.0
// The command of a flag as its arguments, and the program in front of them. No shell is involved, so what only a shell
// would understand is refused instead of being handed over as a strange argument.
import { ProviderError } from '../errors.js';
import { findProgram } from '../host/program.js';

export interface Command {
  /** The flag it came from, for messages. */
  readonly flag: string;
  /** Absolute path. */
  readonly program: string;
  readonly args: readonly string[];
}

/**
 * One piece of a command at a place: blanks, a quoted text, one quoted character, or a run of what means nothing. What a
 * shell would act on, and a quote that is not closed, is none of them.
 */
const PIECE =
  /(?<blanks>[ \t\n]+)|'(?<single>[^']*)'|"(?<double>(?:\\[^]|[^"\\])*)"|\\(?<one>[^])|(?<plain>[^ \t\n'"\\|&;<>()$`]+)/y;

/**
 * Splits a command as a shell does: blanks separate, single quotes keep everything, double quotes keep everything but
 * `\"` and `\\`, a backslash keeps the next character.
 *
 * @throws ProviderError ERR_PROVIDER_CONFIG for an open quote, and for a character only a shell would act on
 */
function splitCommand(text: string, flag: string): string[] {
  const argv: string[] = [];
  let argument: string | null = null;
  for (PIECE.lastIndex = 0; PIECE.lastIndex < text.length;) {
    const at = PIECE.lastIndex;
    const piece = PIECE.exec(text)?.groups;
    if (piece === undefined) throw notSplit(text.charAt(at), flag);
    if (piece['blanks'] !== undefined) {
      if (argument !== null) argv.push(argument);
      argument = null;
    } else {
      const { single, one, plain, double } = piece;
      argument = (argument ?? '') + (single ?? one ?? plain ?? (double ?? '').replaceAll(/\\(["\\])/g, '$1'));
    }
  }
  if (argument !== null) argv.push(argument);
  return argv;
}

function notSplit(char: string, flag: string): ProviderError {
  const [what, hint] =
    char === "'" || char === '"'
      ? [
          `has a ${char === '"' ? 'double' : 'single'} quote that is not closed`,
          'close it, or put a backslash before it',
        ]
      : char === '\\'
        ? ['ends with a backslash', 'remove it, or write two of them']
        : [
            `has ${JSON.stringify(char)} in it, which only a shell understands, and no shell runs it`,
            'put the command line into a script and name that, or quote the character to hand it over as it is',
          ];
  return new ProviderError('ERR_PROVIDER_CONFIG', `${flag} ${what}`, { hint });
}

/**
 * The command of a flag, with its program found: a path as it is, a bare name through `PATH`.
 *
 * @throws ProviderError ERR_PROVIDER_CONFIG naming the flag
 */
export function readCommand(text: string, flag: string, env: NodeJS.ProcessEnv): Command {
  const [name, ...args] = splitCommand(text, flag);
  if (name === undefined || name === '') {
    throw new ProviderError('ERR_PROVIDER_CONFIG', `${flag} names no program`, {
      hint: `give the path of a script, like ${flag} /etc/peerpod/${flag.slice(1).replace('-command', '')}.sh`,
    });
  }
  const found = findProgram(name, env['PATH']);
  if (found.t === 'found') return { flag, program: found.path, args };
  throw new ProviderError(
    'ERR_PROVIDER_CONFIG',
    found.t === 'missing'
      ? `${flag}: there is no program ${JSON.stringify(name)}${found.where}`
      : `${flag}: ${found.path} may not be executed`,
    { hint: found.t === 'missing' ? 'give the path of a script' : `run: chmod +x ${found.path}` },
  );
}
