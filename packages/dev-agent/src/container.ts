// SPDX-License-Identifier: Apache-2.0
// A container: its first process, those executed in it later, and the means to find, signal and end them all.
import type { Logger } from 'pino';
import { constants } from 'node:os';
import { sleep } from '@peerpod-tls/base';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import { CpuMeter } from './cpu-meter.js';
import { GuestProcess, type ProcessPlan } from './guest-process.js';
import { alreadyExists, failedPrecondition, notFound } from './guest-status.js';
import { processesOf, type ProcessFacts } from './process-scan.js';

/** Executed processes whose exit code is kept for those who ask late. */
const MAX_REMEMBERED = 1024;
/** How long a killed process may take to disappear before it is looked for again, in milliseconds. */
const REAP_MS = 5;

export class Container {
  readonly id: string;
  readonly mark: string;
  readonly cpu = new CpuMeter();
  readonly #init: GuestProcess;
  readonly #execs = new Map<string, GuestProcess>();
  readonly #log: Logger;

  constructor(id: string, mark: string, plan: ProcessPlan, log: Logger) {
    this.id = id;
    this.mark = mark;
    this.#log = log;
    this.#init = new GuestProcess(id, plan);
    // In a pid namespace the kernel ends everybody when the first process ends.
    this.#init.onExit(() => {
      this.killAll(null).catch((err: unknown) => log.error({ err, container: id }, 'container not cleared'));
    });
  }

  /** Starts the first process. */
  async start(): Promise<void> {
    await this.#init.start();
    this.#follow(this.#init);
  }

  /** Runs a further process in the container. */
  async exec(id: string, plan: ProcessPlan): Promise<void> {
    if (this.#init.pid === null) throw failedPrecondition(`container ${this.id} is not running`);
    const known = this.#execs.get(id);
    if (id === this.id || (known !== undefined && !known.spent)) {
      throw alreadyExists(`container ${this.id} has a process ${id} already`);
    }
    const process = new GuestProcess(id, plan);
    this.#execs.delete(id);
    this.#execs.set(id, process);
    this.#forget();
    await process.start();
    this.#follow(process);
  }

  /**
   * The process a request means: no id, or the container's own, is the first one.
   * @throws StatusError NotFound
   */
  process(id: string): GuestProcess {
    if (id === '' || id === this.id) return this.#init;
    const found = this.#execs.get(id);
    if (found === undefined) throw notFound(`container ${this.id} has no process ${id}`);
    return found;
  }

  /** Everything alive that this container started, in /proc's order. */
  living(): ProcessFacts[] {
    const sessions = new Set<number>();
    for (const { pid } of [this.#init, ...this.#execs.values()]) if (pid !== null) sessions.add(pid);
    return processesOf({ mark: this.mark, sessions });
  }

  /** Sends a signal to everything alive; who is gone by then does not need it. */
  signalAll(signal: number): number {
    const living = this.living();
    for (const { pid } of living) sendSignal(pid, signal);
    return living.length;
  }

  /**
   * Stops everybody and waits until they stand still, also those who were being started meanwhile.
   * @param deadline in milliseconds since 1970
   * @throws StatusError DeadlineExceeded
   */
  async pause(deadline: number): Promise<void> {
    for (;;) {
      const going = this.living().filter(facts => !facts.stopped);
      if (going.length === 0) return;
      if (Date.now() >= deadline)
        throw new StatusError(StatusCode.deadlineExceeded, `container ${this.id} does not stop`);
      for (const { pid } of going) sendSignal(pid, constants.signals.SIGSTOP);
      await sleep(REAP_MS);
    }
  }

  /**
   * Kills everything and waits until nothing is left.
   * @param deadline in milliseconds since 1970, or null to wait as long as it takes
   * @throws StatusError DeadlineExceeded
   */
  async killAll(deadline: number | null): Promise<void> {
    this.#init.abandon();
    for (
      let pause = REAP_MS;
      this.signalAll(constants.signals.SIGKILL) > 0;
      pause = Math.min(pause * 2, 200)
    ) {
      if (deadline !== null && Date.now() >= deadline) {
        throw new StatusError(StatusCode.deadlineExceeded, `processes of container ${this.id} do not end`);
      }
      await sleep(pause);
    }
    // Dead is not yet reaped: the exit codes come with the reaping.
    const never = new AbortController().signal;
    const ending = [this.#init, ...this.#execs.values()].filter(process => process.pid !== null);
    await Promise.all(ending.map(process => process.wait(never)));
  }

  #follow(process: GuestProcess): void {
    const { pid } = process;
    this.#log.info(
      { container: this.id, process: process.id, pid, program: process.plan.args[0] },
      'process started',
    );
    process.onExit(() => {
      this.#log.info({ container: this.id, process: process.id, pid, code: process.code }, 'process ended');
    });
  }

  /** Lets go of the oldest processes that are over and read out. */
  #forget(): void {
    for (const [id, process] of this.#execs) {
      if (this.#execs.size <= MAX_REMEMBERED) return;
      if (process.spent) this.#execs.delete(id);
    }
  }
}

/** @returns false when there is no such process any more */
export function sendSignal(pid: number, signal: number): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}
