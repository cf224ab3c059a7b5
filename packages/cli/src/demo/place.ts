// SPDX-License-Identifier: Apache-2.0
// The demo's private directory and the reaper beside it: made together, cleared together.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { codeOf, makeDirectory, messageOf } from '@peerpod-tls/base';
import { CliError } from '../errors.js';
import { reaperProgram } from './programs.js';
import { sweep } from './sweep.js';

/** Sockets lie up to 60 bytes below the directory, and a socket path has 107 at most. */
const LONGEST_DIRECTORY = 44;

export class Place {
  readonly dir: string;
  readonly keep: boolean;
  readonly #reaper: ChildProcess;

  private constructor(dir: string, keep: boolean, reaper: string) {
    this.dir = dir;
    this.keep = keep;
    // Its own session: what ends the demo's terminal must not end the one who cleans up.
    this.#reaper = spawn(process.execPath, [reaper, dir, keep ? 'keep' : 'remove'], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#reaper.on('error', () => {});
    this.#reaper.stdin?.on('error', () => {});
    this.#reaper.unref();
  }

  /** A new directory under the system's temporary one, or the given one, which must be new or empty. */
  static make(keepDir: string | undefined): Place {
    // Found before anything is made that it would have to clean up.
    const reaper = reaperProgram();
    if (keepDir === undefined) {
      const base = tmpdir().length <= LONGEST_DIRECTORY - '/pp-XXXXXX'.length ? tmpdir() : '/tmp';
      return new Place(makeTemporary(base), false, reaper);
    }
    const dir = resolve(keepDir);
    if (Buffer.byteLength(dir) > LONGEST_DIRECTORY) {
      throw new CliError('ERR_CLI_BAD_INPUT', `-keep-dir ${dir} is too long for the sockets in it`, {
        hint: `take a path of at most ${LONGEST_DIRECTORY} bytes, such as /tmp/demo`,
      });
    }
    try {
      makeDirectory(dir, 0o700);
      if (readdirSync(dir).length > 0) {
        throw new CliError('ERR_CLI_EXISTS', `-keep-dir ${dir} is not empty`, {
          hint: 'take a new directory',
        });
      }
    } catch (error) {
      if (codeOf(error).startsWith('ERR_CLI')) throw error;
      throw new CliError('ERR_CLI_BAD_INPUT', `-keep-dir ${dir} cannot be used: ${messageOf(error)}`, {
        cause: error,
      });
    }
    return new Place(dir, true, reaper);
  }

  /** Ends what still carries the demo's mark, removes the directory, and lets the reaper go. Gives how many were ended. */
  async clear(): Promise<number> {
    const { killed } = sweep(this.dir, { keep: this.keep });
    if (
      this.#reaper.exitCode === null &&
      this.#reaper.signalCode === null &&
      this.#reaper.pid !== undefined
    ) {
      const gone = new Promise(done => this.#reaper.once('exit', done));
      this.#reaper.ref();
      this.#reaper.stdin?.end();
      await gone;
    }
    return killed;
  }
}

function makeTemporary(base: string): string {
  try {
    return mkdtempSync(join(base, 'pp-'));
  } catch (error) {
    throw new CliError('ERR_CLI_BAD_INPUT', `no directory can be made under ${base}: ${messageOf(error)}`, {
      hint: 'set TMPDIR to a directory that can be written to, or name one with -keep-dir',
    });
  }
}
