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

  /** Starts a program; its stderr is shown only when it ends by itself. */
  start(program: string, args: readonly string[], options: { readonly input?: 'pipe' } = {}): Program {
    const child = spawn(program, args, { stdio: [options.input ?? 'ignore', 'ignore', 'pipe'] });
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

  async end(program: Program): Promise<void> {
    if (!this.#running.delete(program.child)) return;
    program.child.kill('SIGKILL');
    if (program.child.exitCode === null && program.child.signalCode === null)
      await once(program.child, 'exit');
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running].map(child => this.end({ pid: child.pid ?? 0, child })));
  }
}

/** Runs a program to its end and returns the last line it printed, parsed. */
export async function answerOf(program: string, args: readonly string[]): Promise<Record<string, number>> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${program} ${args[0] ?? ''} ended with ${code}`);
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
