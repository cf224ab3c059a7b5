// SPDX-License-Identifier: Apache-2.0
// Starts the real program and listens to what it says. One child per call, ended with its test.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { deadline } from '@peerpod-tls/base';
import type { Test } from 'tap';

const program = fileURLToPath(new URL('../../bin/agent-protocol-forwarder.js', import.meta.url));

/** How long a busy machine may take over anything that is waited for here. */
const PATIENCE_MS = 20_000;

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export class Program {
  readonly child: ChildProcess;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stdout = '';
  stderr = '';
  #waiting: (() => void)[] = [];

  constructor(t: Test, argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const { PATH } = process.env;
    // Without the loaders that tap would put into NODE_OPTIONS of a Node it starts: the program as it is.
    this.child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, program, ...argv], {
      env: { PATH, PEERPOD_LENT_READS: process.env['PEERPOD_LENT_READS'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (this.stdout += chunk));
    this.child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stderr += chunk;
      for (const look of this.#waiting.splice(0)) look();
    });
    this.exited = once(this.child, 'close').then(([code, signal]) => {
      for (const look of this.#waiting.splice(0)) look();
      return { code, signal };
    });
    t.teardown(async () => {
      this.child.kill('SIGKILL');
      await this.exited;
    });
  }

  lines(): LogLine[] {
    return this.stderr
      .split('\n')
      .slice(0, -1)
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line));
  }

  /** The first log line with this message that `also` accepts, now or later. */
  said(msg: string, also: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return this.#heard(msg, lines => lines.find(also));
  }

  /** The log line with this message that comes after `n` others like it, now or later. */
  nth(msg: string, n: number): Promise<LogLine> {
    return this.#heard(msg, lines => lines[n]);
  }

  async #heard(msg: string, pick: (lines: readonly LogLine[]) => LogLine | undefined): Promise<LogLine> {
    using signal = deadline(PATIENCE_MS);
    for (;;) {
      const found = pick(this.lines().filter(line => line.msg === msg));
      if (found !== undefined) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`the program ended without saying ${JSON.stringify(msg)}:\n${this.stderr}`);
      }
      if (signal.aborted) {
        throw new Error(`the program did not say ${JSON.stringify(msg)} in time:\n${this.stderr}`);
      }
      await new Promise<void>(resolve => {
        this.#waiting.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  /** The port it listens on, once it does. */
  async port(): Promise<number> {
    const { address } = await this.said('forwarder listened');
    return Number(String(address).split(':').at(-1));
  }
}
