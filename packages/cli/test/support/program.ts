// SPDX-License-Identifier: Apache-2.0
// Starts the real peerpod program. One child per call, ended with its test.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const launcher = fileURLToPath(new URL('../../bin/peerpod.js', import.meta.url));

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Text for standard input, which ends after it; left out: empty. `open` leaves it open. */
  readonly stdin?: string | Buffer | 'open';
  readonly cwd?: string;
}

export class Peerpod {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stdout = '';
  stderr = '';
  #looks: (() => void)[] = [];

  constructor(t: Test, argv: readonly string[], options: StartOptions = {}) {
    // tap makes every child load its process tracker through NODE_OPTIONS, and a pod VM is half a dozen processes. The
    // pid stays that of the child, since env becomes what it starts.
    this.child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, launcher, ...argv], {
      env: {
        PATH: process.env['PATH'],
        PEERPOD_LENT_READS: process.env['PEERPOD_LENT_READS'],
        LANG: 'C.UTF-8',
        ...options.env,
      },
      cwd: options.cwd,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stdin?.on('error', () => {});
    if (options.stdin !== 'open') this.child.stdin?.end(options.stdin ?? '');
    this.child.stdout
      ?.setEncoding('utf8')
      .on('data', (text: string) => this.#take(() => (this.stdout += text)));
    this.child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => this.#take(() => (this.stderr += text)));
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      this.#take(() => {});
      return { code, signal };
    });
    t.teardown(async () => {
      this.child.kill('SIGKILL');
      await this.ended;
    });
  }

  #take(change: () => void): void {
    change();
    for (const look of this.#looks.splice(0)) look();
  }

  /** Resolves when standard output or standard error matches. */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
      if (found !== null) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        await this.ended;
        const late = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
        if (late !== null) return late;
        throw new Error(`peerpod ended without saying ${pattern}:\n${this.stdout}\n${this.stderr}`);
      }
      await new Promise<void>(resolve => this.#looks.push(resolve));
    }
  }
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs peerpod to its end. */
export async function peerpod(
  t: Test,
  argv: readonly string[],
  options: StartOptions = {},
): Promise<Outcome> {
  const program = new Peerpod(t, argv, options);
  const { code } = await program.ended;
  return { code, stdout: program.stdout, stderr: program.stderr };
}

/** A short directory of its own, since sockets lie in it; removed after the test. */
export function shortDirectory(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'pc-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
