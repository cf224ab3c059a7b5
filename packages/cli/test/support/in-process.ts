// SPDX-License-Identifier: Apache-2.0
// Runs the program's main function in the test's own process, for tables of rows that need no process each.
import { EventEmitter } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { main } from '../../src/main.js';
import type { Outcome } from './program.js';

class Collector extends Writable {
  readonly isTTY: boolean;
  readonly columns: number | undefined;
  text = '';

  constructor(tty: boolean, columns?: number) {
    super({ decodeStrings: false });
    this.isTTY = tty;
    this.columns = columns;
  }

  override _write(chunk: Buffer | string, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export interface CallOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string;
  /** Columns of a terminal on both outputs; left out: no terminal. */
  readonly columns?: number;
}

/** One command line. */
export async function call(argv: readonly string[], o: CallOptions = {}): Promise<Outcome> {
  const stdout = new Collector(o.columns !== undefined, o.columns);
  const stderr = new Collector(o.columns !== undefined, o.columns);
  const stdin = Readable.from([Buffer.from(o.stdin ?? '')]);
  const code = await main(argv, {
    stdin,
    stdout,
    stderr,
    env: { LANG: 'C.UTF-8', ...o.env },
    signals: new EventEmitter(),
  });
  return { code, stdout: stdout.text, stderr: stderr.text };
}
