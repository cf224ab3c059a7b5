// SPDX-License-Identifier: Apache-2.0
// The console log of a local pod VM: appended line by line, bounded in size, and read by a person in a hurry. Whose
// lines they are is not its business.
import { closeSync, existsSync, openSync, renameSync, statSync, writeSync } from 'node:fs';

/** Bytes per file; one older file is kept. A pod VM of days says a few kilobytes. */
const MAX_BYTES = 1 << 20;
/** Longer lines are cut: a program may print without ever ending one. */
const MAX_LINE = 8192;

/** Writes synchronously, so that the last words before a kill are on disk. A full disk loses lines, not the VM. */
export class ConsoleLog {
  readonly #path: string;
  readonly #maxBytes: number;
  #fd: number | null = null;
  #size = 0;

  constructor(path: string, maxBytes: number = MAX_BYTES) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  write(who: string, line: string): void {
    const bytes = Buffer.from(`${new Date().toISOString()} ${who}: ${line.slice(0, MAX_LINE)}\n`);
    try {
      if (this.#fd === null) this.#open();
      else if (this.#size + bytes.length > this.#maxBytes) this.#rotate();
      if (this.#fd !== null) this.#size += writeSync(this.#fd, bytes);
    } catch {
      // Nowhere left to say it.
    }
  }

  /** A function that takes a stream's chunks and writes its lines. */
  lines(who: string): (chunk: string) => void {
    let rest = '';
    return chunk => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      if (rest.length > MAX_LINE) {
        parts.push(rest);
        rest = '';
      }
      for (const line of parts) {
        if (line === '') continue;
        this.write(who, line);
      }
    };
  }

  #open(): void {
    this.#fd = openSync(this.#path, 'a', 0o600);
    this.#size = statSync(this.#path).size;
  }

  #rotate(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
    if (existsSync(this.#path)) renameSync(this.#path, `${this.#path}.1`);
    this.#open();
  }
}

/** Console lines for a person in a hurry: of a log line in JSON, its level, message and error; other lines as they are. */
export function condense(lines: string): string {
  return lines
    .split('\n')
    .map(line => {
      const [, head = '', json = ''] = /^(\S+ [^:\s]+: )(\{.*\})$/.exec(line) ?? [];
      return json === '' ? line : head + briefly(json);
    })
    .join('\n');
}

function briefly(json: string): string {
  try {
    const { level, msg, err } = JSON.parse(json);
    return [level, msg, err?.message].filter(part => typeof part === 'string').join(', ');
  } catch {
    return json;
  }
}

/** Why a VM ended, from its last lines: which program ended it and that program's last words; null when it does not say. */
export function whyItEnded(lines: string): string | null {
  const said = condense(lines).split('\n');
  const reason = said
    .map(line => / vm: powering off: (.*)$/.exec(line)?.[1])
    .findLast(found => found !== undefined);
  if (reason === undefined) return null;
  const culprit = ` ${reason.split(' ')[0]}: `;
  const words = said.flatMap(line =>
    line.includes(culprit) ? [line.slice(line.indexOf(culprit) + culprit.length)] : [],
  );
  return [reason, ...words.slice(-2).map(word => word.trim())].join('; ');
}
