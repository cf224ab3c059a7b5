// SPDX-License-Identifier: Apache-2.0
// The command of a flag as a list of words, and the program in front of it. No shell is involved, so what only a shell
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

const BLANKS = ' \t\n';
const SHELL = '|&;<>()$`';

/**
 * Splits a command as a shell does: blanks separate, single quotes keep everything, double quotes keep everything but
 * `\"` and `\\`, a backslash keeps the next character.
 *
 * @throws ProviderError ERR_PROVIDER_CONFIG for an open quote, and for a character only a shell would act on
 */
function splitWords(text: string, flag: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let at = 0;
  const refuse = (what: string, hint: string): ProviderError =>
    new ProviderError('ERR_PROVIDER_CONFIG', `${flag} ${what}`, { hint });
  while (at < text.length) {
    const char = text.charAt(at);
    if (char === "'") {
      const end = text.indexOf("'", at + 1);
      if (end === -1)
        throw refuse('has a single quote that is not closed', 'close it, or put a backslash before it');
      word = (word ?? '') + text.slice(at + 1, end);
      at = end + 1;
    } else if (char === '"') {
      const quoted = readDoubleQuoted(text, at + 1);
      if (quoted === null)
        throw refuse('has a double quote that is not closed', 'close it, or put a backslash before it');
      word = (word ?? '') + quoted.text;
      at = quoted.end;
    } else if (char === '\\') {
      if (at + 1 === text.length) throw refuse('ends with a backslash', 'remove it, or write two of them');
      word = (word ?? '') + text.charAt(at + 1);
      at += 2;
    } else if (BLANKS.includes(char)) {
      if (word !== null) words.push(word);
      word = null;
      at += 1;
    } else if (SHELL.includes(char)) {
      throw refuse(
        `has ${JSON.stringify(char)} in it, which only a shell understands, and no shell runs it`,
        'put the command line into a script and name that, or quote the character to hand it over as it is',
      );
    } else {
      word = (word ?? '') + char;
      at += 1;
    }
  }
  if (word !== null) words.push(word);
  return words;
}

/** The text up to the closing quote, and where the rest begins; null when there is no closing quote. */
function readDoubleQuoted(
  text: string,
  from: number,
): { readonly text: string; readonly end: number } | null {
  let read = '';
  for (let at = from; at < text.length; at += 1) {
    const char = text.charAt(at);
    const next = text.charAt(at + 1);
    if (char === '"') return { text: read, end: at + 1 };
    if (char === '\\' && (next === '"' || next === '\\')) {
      read += next;
      at += 1;
    } else read += char;
  }
  return null;
}

/**
 * The command of a flag, with its program found: a path as it is, a bare name through `PATH`.
 *
 * @throws ProviderError ERR_PROVIDER_CONFIG naming the flag
 */
export function readCommand(text: string, flag: string, env: NodeJS.ProcessEnv): Command {
  const [name, ...args] = splitWords(text, flag);
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
