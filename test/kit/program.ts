// SPDX-License-Identifier: Apache-2.0
// Any program of the project as a real child process, started the way a user starts it and ended with its test.
import { spawn, type ChildProcess } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type ProgramName =
  | 'cloud-api-adaptor'
  | 'agent-protocol-proxy'
  | 'agent-protocol-forwarder'
  | 'process-user-data'
  | 'peerpod'
  | 'peerpod-dev-agent';

/** What a test gives us to end things with. */
export interface Teardown {
  teardown(after: () => unknown): unknown;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Runs this file, which is another release of the program, instead of the one that npm links. */
  readonly file?: string;
  /** Runs it as this user (needs root), as `setpriv` does. */
  readonly uid?: number;
  /** What runs it, as `ip netns exec NAME`; it must become the program, so that the process stays the same. */
  readonly within?: readonly string[];
  /** Leads a process group of its own, so that {@link Program.interrupt} reaches all of it as a terminal's Ctrl-C does. */
  readonly group?: boolean;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The launcher that npm links into `node_modules/.bin/`. */
export function binOf(name: ProgramName): string {
  return realpathSync(fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url)));
}

/** A test that is cut off by its time limit runs no teardown: whatever it started ends with its process. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';
  readonly #looks = new Set<() => void>();

  constructor(t: Teardown, name: ProgramName, argv: readonly string[], o: ProgramOptions = {}) {
    const as =
      o.uid === undefined ? [] : ['setpriv', `--reuid=${o.uid}`, `--regid=${o.uid}`, '--clear-groups'];
    // The test runner's loaders travel in NODE_OPTIONS; a user has none.
    const file = o.file ?? binOf(name);
    const words = ['-u', 'NODE_OPTIONS', ...(o.within ?? []), ...as, process.execPath, file, ...argv];
    this.child = spawn('env', words, {
      env: {
        PATH: process.env['PATH'],
        PEERPOD_LENT_READS: process.env['PEERPOD_LENT_READS'],
        LANG: 'C.UTF-8',
        ...o.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: o.group === true,
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#look();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#look();
    });
    this.ended = new Promise(resolve => {
      this.child.once('close', (code, signal) => {
        alive.delete(this.child);
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
        this.#look();
      });
    });
    alive.add(this.child);
    t.teardown(() => this.kill('SIGKILL'));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  #look(): void {
    for (const look of this.#looks) look();
  }

  lines(): LogLine[] {
    return this.stderr
      .split('\n')
      .filter(line => line.startsWith('{') && line.endsWith('}'))
      .map((line): LogLine => JSON.parse(line));
  }

  /** The first log line with this message that `also` accepts, now or later; rejects when the program ends without it. */
  said(msg: string, also: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return this.#until(
      () => this.lines().find(line => line.msg === msg && also(line)),
      `a line ${JSON.stringify(msg)}`,
    );
  }

  /** What the first match of `pattern` in standard output is, now or later. */
  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#until(() => pattern.exec(this.stdout) ?? undefined, String(pattern));
  }

  async #until<T>(find: () => T | undefined, what: string): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        await this.ended;
        const late = find();
        if (late !== undefined) return late;
        throw new Error(`the program ended without ${what}:\n${this.stdout}\n${this.stderr}`);
      }
      await new Promise<void>(resolve => {
        const look = (): void => {
          this.#looks.delete(look);
          resolve();
        };
        this.#looks.add(look);
      });
    }
  }

  /** Ctrl-C: SIGINT to the whole process group. */
  interrupt(): void {
    try {
      process.kill(-this.pid, 'SIGINT');
    } catch {
      // It ended before.
    }
  }

  async kill(signal: NodeJS.Signals): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }
}

/** Runs a program to its end. */
export function run(
  t: Teardown,
  name: ProgramName,
  argv: readonly string[],
  o: ProgramOptions = {},
): Promise<Ended> {
  return new Program(t, name, argv, o).ended;
}
