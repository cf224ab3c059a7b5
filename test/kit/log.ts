// SPDX-License-Identifier: Apache-2.0
// What a test inside one process needs of its surroundings: a logger whose lines it reads, a short directory, a wait.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLogger } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { ownProcesses } from './directory.js';

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A logger whose lines a test reads, as text and as objects. */
export function captureLog(): {
  log: Logger;
  text: () => string;
  lines: () => LogLine[];
  next: (msg: string) => Promise<LogLine>;
  /** Adds a line that another logger made. */
  write: (line: string) => void;
} {
  let all = '';
  const waiting = new Set<() => void>();
  const write = (line: string): void => {
    all += line;
    for (const wake of waiting) wake();
  };
  const log = createLogger({ name: 'test', level: 'debug', destination: { write } });
  const lines = (): LogLine[] =>
    all
      .split('\n')
      .filter(line => line !== '')
      .map((line): LogLine => JSON.parse(line));
  const next = (msg: string): Promise<LogLine> =>
    new Promise((resolve, reject) => {
      // Also what keeps the process alive meanwhile: the timers of the adaptor's own watches do not.
      const late = setTimeout(() => reject(new Error(`no line ${JSON.stringify(msg)} in:\n${all}`)), 20_000);
      const look = (): void => {
        const found = lines().find(line => line.msg === msg);
        if (found === undefined) return;
        clearTimeout(late);
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { log, text: () => all, lines, next, write };
}

/**
 * A short directory under the temporary one: socket paths have to fit 107 bytes. Programs that were started for it and
 * live on, as proxies do, end with the test.
 */
export function temporary(t: { teardown(after: () => unknown): unknown }): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'ppa-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  ownProcesses(t, directory);
  return directory;
}

/** Waits for something that no line of the log and no promise tells of. */
export async function eventually(what: () => boolean, ms = 5000): Promise<boolean> {
  const end = Date.now() + ms;
  while (!what()) {
    if (Date.now() > end) return false;
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  return true;
}
