// SPDX-License-Identifier: Apache-2.0
// An error on a terminal: the fact on one line, the way out on the next. A stack only for what nobody foresaw.
import type { Writable } from 'node:stream';
import { messageOf } from '@peerpod-tls/base';
import { isUnforeseen } from './errors.js';

const MOST_CAUSES = 3;

/**
 * Writes `<program>: <message>`, then the hint and the causes, one line each. An error that nobody foresaw is a
 * bug of ours, and is written with its stack.
 */
export function reportError(stream: Writable, program: string, error: unknown): void {
  stream.write(`${program}: ${errorLines(error).join('\n  ')}\n`);
}

function errorLines(error: unknown): string[] {
  if (!(error instanceof Error)) return [oneLine(String(error))];
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [oneLine(error.message), ...error.errors.flatMap((inner: unknown) => errorLines(inner))];
  }
  const { hint } = error as { hint?: unknown };
  if (isUnforeseen(error)) return [oneLine(error.stack ?? error.message, '\n')];
  const lines = [oneLine(error.message)];
  let { cause } = error;
  for (let depth = 0; depth < MOST_CAUSES && cause !== undefined; depth++) {
    const text = messageOf(cause);
    // A cause whose words the message already has says nothing new.
    if (text !== '' && !error.message.includes(text)) lines.push(`because: ${oneLine(text)}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  if (typeof hint === 'string' && hint !== '') lines.push(oneLine(hint));
  return lines;
}

/** Text from files and peers must not move the cursor of the person who reads it. */
function oneLine(text: string, keep = ''): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this removes
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, run =>
    keep !== '' && run.includes(keep) ? run : ' ',
  );
}
