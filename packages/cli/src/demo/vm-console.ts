// SPDX-License-Identifier: Apache-2.0
// What the programs in a local pod VM log, read from the consoles that the local provider keeps. Only for the demo, which
// shows both ends of a refusal; nothing depends on it.
import { openSync, closeSync, readSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type LogLine, logLine } from './log-lines.js';

/** The largest piece read at a time; a console that grows faster is behind by a second, no more. */
const PIECE = 256 * 1024;

/** Follows the consoles of all local VMs below a directory. */
export class VmConsoles {
  readonly #dir: string;
  readonly #offsets = new Map<string, number>();
  readonly #rests = new Map<string, string>();

  /** @param dir the local provider's data directory */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The lines that were written since the last call. A VM that went away is not an error. */
  read(): LogLine[] {
    return this.#files().flatMap(file => this.#readFile(file));
  }

  /** `<data-dir>/<adaptor>/<instance>/console.log` */
  #files(): string[] {
    const below = (dir: string) => list(dir).map(name => join(dir, name));
    return below(this.#dir)
      .flatMap(below)
      .map(dir => join(dir, 'console.log'));
  }

  #readFile(file: string): LogLine[] {
    const at = this.#offsets.get(file) ?? 0;
    const piece = readPiece(file, at);
    this.#offsets.set(file, at + piece.length);
    const lines = ((this.#rests.get(file) ?? '') + piece.toString('utf8')).split('\n');
    this.#rests.set(file, lines.pop() ?? '');
    // Before each line stand the time and the name of the program.
    return lines.filter(line => line !== '').map(line => logLine(line.slice(Math.max(0, line.indexOf('{')))));
  }
}

function list(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function readPiece(file: string, at: number): Buffer {
  try {
    const fd = openSync(file, 'r');
    try {
      const piece = Buffer.alloc(PIECE);
      return piece.subarray(0, readSync(fd, piece, 0, PIECE, at));
    } finally {
      closeSync(fd);
    }
  } catch {
    return Buffer.alloc(0);
  }
}
