// SPDX-License-Identifier: Apache-2.0
// What an operator is told about a command that failed: how it ended and the end of its standard error, without
// anything of the user-data that a talkative script may have repeated there.
import type { CommandEnd, Outcome } from './run.js';
import type { Command } from './command-line.js';

const TAIL_LINES = 20;
const TAIL_CHARS = 2_000;
const LINE_CHARS = 200;
const REMOVED = '[removed]';

/** One sentence without a full stop. `timeoutMs` is what it was given. */
export function howItEnded(command: Command, end: CommandEnd, timeoutMs: number): string {
  const { flag } = command;
  switch (end.t) {
    case 'exit':
      return end.code === 0 ? `${flag} ended well` : `${flag} ended with exit code ${end.code}`;
    case 'signal':
      return `${flag} was ended by ${end.signal}`;
    case 'timeout':
      return `${flag} did not end within ${timeoutMs / 1000} s (-exec-timeout)`;
    case 'aborted':
      return 'the request was given up';
    case 'too-much':
      return `${flag} printed more than an answer can be`;
    case 'not-started':
      return `${flag} could not be started: ${end.reason}`;
  }
}

/** The last thing a command said, on one line, to stand behind `howItEnded`; empty when it said nothing. */
export function lastLine(outcome: Outcome, userData: string): string {
  const line = tailOf(outcome.stderr, userData).split('\n').at(-1) ?? '';
  return line === '' ? '' : `: ${line.slice(0, LINE_CHARS)}`;
}

/** The end of what a command said, as a hint; undefined when it said nothing. */
export function stderrHint(outcome: Outcome, userData: string): string | undefined {
  const tail = tailOf(outcome.stderr, userData);
  return tail === '' ? undefined : `its standard error ended with:\n${tail}`;
}

/** The last lines of a text, fit for a log: no control characters and no secret. */
export function tailOf(text: string, userData: string): string {
  return withoutUserData(text, userData)
    .split('\n')
    .map(line => line.replaceAll(/\p{Cc}/gu, ' ').trimEnd())
    .filter(line => line !== '')
    .slice(-TAIL_LINES)
    .join('\n')
    .slice(-TAIL_CHARS);
}

/**
 * A text without what looks like a key or comes from the user-data: PEM blocks, runs of base64 as long as a line of PEM,
 * and shorter ones when the user-data has them too.
 */
function withoutUserData(text: string, userData: string): string {
  return text
    .replaceAll(/-----BEGIN [^-]{1,64}-----[\s\S]*?(?:-----END [^-]{1,64}-----|$)/g, REMOVED)
    .replaceAll(/[A-Za-z0-9+/]{20,}={0,2}/g, run =>
      run.length >= 60 || userData.includes(run) ? REMOVED : run,
    );
}
