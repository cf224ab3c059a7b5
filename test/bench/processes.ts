// SPDX-License-Identifier: Apache-2.0
// Starting and ending the programs that are measured. One owner: `Programs.stop()` ends all of them.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Program {
  readonly pid: number;
  readonly child: ChildProcess;
}

/** A command that runs a TypeScript program of ours. */
export const typescriptProgram = (path: string): readonly [string, ...string[]] => [
  process.execPath,
  `--import=${new URL('../../scripts/typescript/register.mjs', import.meta.url).href}`,
  path,
];

export function installed(program: string, ...args: string[]): boolean {
  const done = spawnSync(program, args, { stdio: 'ignore' });
  return done.error === undefined;
}

export class Programs {
  readonly #running = new Set<ChildProcess>();
  /** Loads and the like, which end by themselves. */
  readonly #asked = new Set<ChildProcess>();
  /** Those of them that lead a process group. */
  readonly #groups = new Set<ChildProcess>();
  #stopped = false;

  /** Starts a program; its stderr is shown only when it ends by itself. */
  start(
    program: string,
    args: readonly string[],
    options: { readonly env?: NodeJS.ProcessEnv } = {},
  ): Program {
    this.#mayStart();
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000);
    });
    this.#running.add(child);
    child.once('exit', (code, signal) => {
      if (this.#running.delete(child)) {
        process.stderr.write(`bench: ${program} ended by itself (${code ?? signal})\n${said}\n`);
      }
    });
    if (child.pid === undefined) throw new Error(`${program} did not start`);
    return { pid: child.pid, child };
  }

  /** Runs a program to its end in a folder; what it says goes to stderr. */
  async run(program: string, args: readonly string[], cwd: string): Promise<void> {
    this.#mayStart();
    // In a group of its own, so that what npm starts ends with it.
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'], detached: true });
    this.#groups.add(child);
    const code = await this.#endOf(child).finally(() => this.#groups.delete(child));
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} in ${cwd} ended with ${code}`);
  }

  async #endOf(child: ChildProcess): Promise<number | null> {
    this.#asked.add(child);
    return new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    }).finally(() => this.#asked.delete(child));
  }

  /** Runs a program to its end and returns the numbers of the last line it printed. */
  async answerOf(program: string, args: readonly string[]): Promise<Record<string, number>> {
    this.#mayStart();
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    const code = await this.#endOf(child);
    if (code !== 0) throw new Error(`${program} ${args[0] ?? ''} ended with ${code}`);
    return numbersIn(out);
  }

  /** Starts a program that prints one line and stays until it is ended; resolves with the numbers in that line. */
  async answered(
    program: string,
    args: readonly string[],
  ): Promise<{ program: Program; answer: Record<string, number> }> {
    this.#mayStart();
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#running.add(child);
    const line = await new Promise<string>((resolve, reject) => {
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
        if (out.includes('\n')) resolve(out);
      });
      child.once('error', reject);
      child.once('exit', code => reject(new Error(`${program} ${args[0] ?? ''} ended with ${code}`)));
    });
    return { program: { pid: child.pid ?? 0, child }, answer: numbersIn(line) };
  }

  async end(program: Program): Promise<void> {
    if (!this.#running.delete(program.child)) return;
    program.child.kill('SIGKILL');
    if (program.child.exitCode === null && program.child.signalCode === null)
      await once(program.child, 'exit');
  }

  /** What runs now; `endOthers` ends whatever was started since. */
  get running(): ReadonlySet<ChildProcess> {
    return new Set(this.#running);
  }

  async endOthers(than: ReadonlySet<ChildProcess>): Promise<void> {
    const others = [...this.#running].filter(child => !than.has(child));
    await Promise.all(others.map(child => this.end({ pid: child.pid ?? 0, child })));
  }

  /** Nothing is started behind the back of a run that is being ended. */
  #mayStart(): void {
    if (this.#stopped) throw new Error('the bench is ending');
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { pid } of this.#groups) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    for (const child of this.#asked) child.kill('SIGKILL');
    await this.endOthers(new Set());
  }
}

/** The last line a program prints that is JSON, and its numbers. */
function numbersIn(out: string): Record<string, number> {
  const parsed: unknown = JSON.parse(out.trim().split('\n').at(-1) ?? '{}');
  const numbers: Record<string, number> = {};
  for (const [key, value] of Object.entries(parsed ?? {}))
    if (typeof value === 'number') numbers[key] = value;
  return numbers;
}

export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** Waits until something accepts at the address; returns the milliseconds that took. */
export async function listening(address: Address, withinMs = 10_000): Promise<number> {
  const begun = performance.now();
  for (;;) {
    const socket = connect(address);
    const open = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (open) return performance.now() - begun;
    if (performance.now() - begun > withinMs)
      throw new Error(`nothing listens at ${JSON.stringify(address)}`);
    await sleep(2);
  }
}
