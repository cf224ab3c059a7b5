// SPDX-License-Identifier: Apache-2.0
// The program that is a local pod VM: it leads a session of its own, boots the guest (user-data, agent, forwarder) and
// lives and dies with them. Started by the local provider and outlives the adaptor; it holds no policy of its own.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { Readable } from 'node:stream';
import { awaitReady, READY_FD } from '@peerpod-tls/daemon';
import { bootArguments, parseBoot } from './boot-plan.js';
import type { BootPlan } from './boot-plan.js';
import { ConsoleLog } from './console.js';
import { endProcesses } from '../host/vm-processes.js';

/** The descriptor on which a program of the guest says that it is ready. */
const READY = 3;
/** Milliseconds that the guest's programs have to end when asked. */
const GRACE_MS = 1500;

class LocalVm {
  readonly #plan: BootPlan;
  readonly #console: ConsoleLog;
  readonly #running = new Map<string, ChildProcess>();
  #poweringOff = false;

  constructor(plan: BootPlan) {
    this.#plan = plan;
    this.#console = new ConsoleLog(plan.console);
  }

  async boot(): Promise<void> {
    process.on('SIGTERM', () => void this.powerOff('asked to power off', 0));
    process.on('SIGINT', () => void this.powerOff('asked to power off', 0));
    process.on('SIGHUP', () => {});
    const commands = bootArguments(this.#plan);
    this.#console.write('vm', `booting ${this.#plan.name} on ${this.#plan.address}:${this.#plan.port}`);
    const agent = this.#run('agent', this.#plan.programs.agent, commands.agent);
    await this.#provision(commands.processUserData);
    if (this.#poweringOff) return;
    await Promise.all([agent, this.#run('forwarder', this.#plan.programs.forwarder, commands.forwarder)]);
    this.#console.write('vm', 'up');
    // The adaptor may be gone already; then nobody waits for this.
    if (process.connected) process.send?.({ t: 'up' }, () => {});
  }

  /** Ends everything that belongs to the VM, then this program. */
  async powerOff(reason: string, code: number): Promise<void> {
    if (this.#poweringOff) return;
    this.#poweringOff = true;
    this.#console.write('vm', `powering off: ${reason}`);
    const left = await endProcesses(this.#plan.directory, {
      leader: null,
      graceMs: GRACE_MS,
      killMs: GRACE_MS,
      except: [process.pid],
    });
    this.#console.write(
      'vm',
      left.length === 0 ? 'off' : `off, but processes ${left.join(', ')} would not end`,
    );
    process.exit(code);
  }

  async #provision(argv: readonly string[]): Promise<void> {
    await new Promise<void>(resolve => {
      const child = this.#start('process-user-data', this.#plan.programs.processUserData, argv);
      child.once('exit', (code, signal) => {
        // User-data holds a private key: its one copy from here on is the guest's own configuration file.
        rmSync(this.#plan.seed, { force: true });
        if (code === 0) resolve();
        else void this.powerOff(`process-user-data ${ending(code, signal)}`, 1);
      });
    });
  }

  /** Runs a program whose end is the end of the VM. Resolves when it says that it is ready, and else never. */
  #run(name: string, program: string, argv: readonly string[]): Promise<void> {
    const child = this.#start(name, program, argv);
    this.#running.set(name, child);
    child.once('exit', (code, signal) => {
      this.#running.delete(name);
      void this.powerOff(`${name} ${ending(code, signal)}`, 1);
    });
    const pipe = child.stdio[READY];
    if (!(pipe instanceof Readable)) throw new Error('internal error: there is no pipe for readiness');
    return new Promise(resolve => {
      // That it ended before is told by its exit.
      void awaitReady(pipe, new AbortController().signal).then(
        () => resolve(),
        () => {},
      );
    });
  }

  #start(name: string, program: string, argv: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, [program, ...argv], {
      cwd: this.#plan.guest,
      // A loader or a debugger is meant for one Node, not for every program of a guest.
      env: { ...process.env, NODE_OPTIONS: undefined, [READY_FD]: String(READY) },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    child.once('error', error => void this.powerOff(`${name} did not start: ${error.message}`, 1));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', this.#console.lines(name));
    }
    return child;
  }
}

function ending(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `exited with code ${code ?? 'unknown'}` : `was killed by ${signal}`;
}

const plan = parseBoot(readFileSync(process.argv[2] ?? '', 'utf8'));
const vm = new LocalVm(plan);
void vm.boot();
