// SPDX-License-Identifier: Apache-2.0
// cloud-api-adaptor as a real child process, its log read line by line.
import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LogLine } from './adaptor.js';

const BIN = fileURLToPath(new URL('../../bin/cloud-api-adaptor.js', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Program {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  #stdout = '';
  #stderr = '';
  readonly #waiting = new Set<() => void>();

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
    // The test runner puts itself into NODE_OPTIONS of every descendant, a local pod VM's five included: not here.
    this.child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, BIN, ...argv], {
      env: { PATH: process.env['PATH'], PEERPOD_LENT_READS: process.env['PEERPOD_LENT_READS'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      for (const wake of this.#waiting) wake();
    });
    this.finished = new Promise(resolve => {
      this.child.once('close', code => {
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
        for (const wake of this.#waiting) wake();
      });
    });
  }

  get output(): string {
    return this.#stdout + this.#stderr;
  }

  lines(): LogLine[] {
    return this.#stderr
      .split('\n')
      .filter(line => line.startsWith('{') && line.endsWith('}'))
      .map((line): LogLine => JSON.parse(line));
  }

  /** The first line with this message; rejects when the program ends without it. */
  async next(msg: string): Promise<LogLine> {
    for (;;) {
      const found = this.lines().find(line => line.msg === msg);
      if (found !== undefined) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`ended without ${JSON.stringify(msg)}: ${this.#stderr}`);
      }
      await new Promise<void>(resolve => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  async kill(signal: NodeJS.Signals): Promise<Finished> {
    this.child.kill(signal);
    return this.finished;
  }
}

/** Everything of one adaptor with the local provider under one directory. */
export const localFlags = (directory: string): string[] => [
  'local',
  `-socket=${path.join(directory, 'h.sock')}`,
  `-pods-dir=${path.join(directory, 'pods')}`,
  `-data-dir=${path.join(directory, 'vms')}`,
  '-status-address=127.0.0.1:0',
  '-drain-timeout=5s',
];

export function run(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return new Program(argv, env).finished;
}
