// SPDX-License-Identifier: Apache-2.0
// One process of a container: what it is to run, then the real child with its pipes, then its exit code. Knows no
// container and no request.
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { failedPrecondition, systemError } from './guest-status.js';
import { OutputPipe } from './output-pipe.js';

export interface ProcessPlan {
  readonly args: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** A directory that is there. */
  readonly cwd: string;
  /** Whom to run as; undefined: as the agent. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  /** A terminal was asked for; there is none, pipes stand in. */
  readonly terminal: boolean;
}

type State =
  | { readonly t: 'created' }
  | { readonly t: 'starting' }
  | { readonly t: 'running'; readonly pid: number }
  | { readonly t: 'exited'; readonly code: number };

interface Pipes {
  readonly stdin: Writable;
  readonly stdout: OutputPipe;
  readonly stderr: OutputPipe;
}

/** Emits `started` once it runs and `exit` once it does not any more. */
export class GuestProcess {
  readonly id: string;
  readonly plan: ProcessPlan;
  readonly #events = new EventEmitter();
  #state: State = { t: 'created' };
  #pipes: Pipes | null = null;

  constructor(id: string, plan: ProcessPlan) {
    this.id = id;
    this.plan = plan;
    // Every waiting call is a listener, and there may be many.
    this.#events.setMaxListeners(0);
  }

  /** Number of the running process, or null. */
  get pid(): number | null {
    return this.#state.t === 'running' ? this.#state.pid : null;
  }

  get exited(): boolean {
    return this.#state.t === 'exited';
  }

  /** The exit code, or null before the end. */
  get code(): number | null {
    return this.#state.t === 'exited' ? this.#state.code : null;
  }

  /** Whether nobody can want anything of it but its exit code. */
  get spent(): boolean {
    return (
      this.exited && (this.#pipes === null || (this.#pipes.stdout.drained && this.#pipes.stderr.drained))
    );
  }

  /**
   * Starts the child in a session of its own, so that a signal to its group reaches what it starts.
   * @throws StatusError when it cannot be started; it counts as exited then, with a shell's code for that
   */
  async start(): Promise<void> {
    if (this.#state.t !== 'created') throw failedPrecondition(`process ${this.id} was started already`);
    this.#state = { t: 'starting' };
    const { args, env, cwd, user } = this.plan;
    const [program, ...rest] = args;
    try {
      const child = spawn(program, rest, { cwd, env, ...user, detached: true, stdio: 'pipe' });
      const pid = await running(child);
      // From here on in the same tick: the exit of a child that is done already is only reported after this.
      this.#pipes = openPipes(child);
      this.#state = { t: 'running', pid };
      child.once('exit', (code, signal) => this.#end(code ?? 128 + numberOf(signal)));
      this.#events.emit('started');
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      this.#end(missing ? 127 : 126);
      throw systemError(`cannot run ${JSON.stringify(program)}`, error);
    }
  }

  #end(code: number): void {
    if (this.#state.t === 'exited') return;
    this.#state = { t: 'exited', code };
    this.#events.emit('started');
    this.#events.emit('exit');
  }

  /** Ends a process that was never started. */
  abandon(): void {
    if (this.#state.t === 'created') this.#end(128 + constants.signals.SIGKILL);
  }

  onExit(listener: () => void): void {
    if (this.exited) listener();
    else this.#events.once('exit', listener);
  }

  /** The exit code: 128 + n when signal n ended it. */
  async wait(signal: AbortSignal): Promise<number> {
    while (this.#state.t !== 'exited') await once(this.#events, 'exit', { signal });
    return this.#state.code;
  }

  /** @throws StatusError at the end of the output */
  async read(from: 'stdout' | 'stderr', length: number, signal: AbortSignal): Promise<Uint8Array> {
    return (await this.#opened(signal))[from].read(length, signal);
  }

  /** Resolves when the pipe took the bytes: a process that does not read makes its writer wait. */
  async write(data: Uint8Array, signal: AbortSignal): Promise<void> {
    const { stdin } = await this.#opened(signal);
    if (!stdin.writable) throw failedPrecondition(`stdin of process ${this.id} is closed`);
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
      stdin.write(data, error => {
        signal.removeEventListener('abort', leave);
        if (error) reject(systemError('cannot write to stdin', error));
        else resolve();
      });
    });
  }

  closeStdin(): void {
    this.#pipes?.stdin.end();
  }

  async #opened(signal: AbortSignal): Promise<Pipes> {
    while (this.#state.t === 'created' || this.#state.t === 'starting')
      await once(this.#events, 'started', { signal });
    if (this.#pipes === null) throw failedPrecondition(`process ${this.id} never ran`);
    return this.#pipes;
  }
}

/** The number of the child once it runs. */
function running(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => {
      child.off('error', reject);
      // Later errors are signals that found nobody; whoever sent them hears of it.
      child.on('error', () => undefined);
      resolve(child.pid ?? 0);
    });
  });
}

function openPipes(child: ChildProcess): Pipes {
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null)
    throw new Error('internal error: a child without pipes');
  // A process that ends with input unread breaks the pipe; the writer hears it from its own call.
  stdin.on('error', () => undefined);
  return { stdin, stdout: new OutputPipe(stdout), stderr: new OutputPipe(stderr) };
}

function numberOf(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : constants.signals[signal];
}
