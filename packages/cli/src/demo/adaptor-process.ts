// SPDX-License-Identifier: Apache-2.0
// cloud-api-adaptor as a child process of the demo: started, listened to, stopped. It shows nothing.
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { deadline } from '@peerpod-tls/base';
import { READY_FD, awaitReady } from '@peerpod-tls/daemon/terminal';
import { CliError } from '../errors.js';
import { span } from '../terminal/format.js';
import { type LogLine, logLine, readLog } from './log-lines.js';
import { adaptorProgram } from './programs.js';
import type { AdaptorFacts } from './story.js';
import { MARK } from './sweep.js';

export interface AdaptorProcessOptions {
  /** The demo's private directory; everything the adaptor writes is below it. */
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Called for each line of the adaptor's log, as it is written. */
  readonly onLine: (line: LogLine) => void;
}

/** Where pod VMs of the demo listen: the port is the adaptor's default, said so that hints may name it. */
export const FORWARDER_PORT = 15_150;

const LOG_HINT = 'peerpod demo --keep-dir DIR keeps its log in DIR/adaptor.log';

/** Last lines of the log that are kept for the case that the adaptor dies. */
const TAIL_LINES = 12;

export class AdaptorProcess {
  readonly hypervisorSocket: string;
  readonly stateDir: string;
  readonly logFile: string;
  /** Resolves when the process has ended and its log was read to the end. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #child: ChildProcess;
  readonly #tail: string[] = [];

  constructor(options: AdaptorProcessOptions) {
    const { dir } = options;
    this.hypervisorSocket = join(dir, 'hypervisor.sock');
    this.stateDir = join(dir, 'state');
    this.logFile = join(dir, 'adaptor.log');
    const program = adaptorProgram();
    const args = ['local', '-socket', this.hypervisorSocket, '-status-address', '127.0.0.1:0'];
    args.push('-pods-dir', join(dir, 'pods'), '-state-dir', this.stateDir);
    args.push('-data-dir', join(dir, 'vm'), '-forwarder-port', String(FORWARDER_PORT));
    // A process group of its own: Ctrl-C at the terminal must reach the demo alone, which then stops things in order.
    this.#child = spawn(process.execPath, [program, ...args], {
      cwd: dir,
      detached: true,
      env: { ...cleanEnvironment(options.env), [MARK]: dir, [READY_FD]: '3' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(resolve => {
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
      this.#child.once('error', error => {
        this.#tail.push(error.message);
        resolve({ code: null, signal: null });
      });
    });
    this.ended = exited.then(async how => {
      // What the adaptor started may hold the pipe open; a moment is enough for what the adaptor itself wrote.
      await Promise.race([logRead, new Promise(resolve => setTimeout(resolve, 200).unref())]);
      this.#child.stderr?.destroy();
      return how;
    });
    const file = createWriteStream(this.logFile, { mode: 0o600 });
    // The log is a convenience of -keep-dir; a full disk must not end the demo.
    file.on('error', () => {});
    const { stderr } = this.#child;
    const logRead =
      stderr === null
        ? Promise.resolve()
        : readLog(stderr, line => {
            file.write(`${line}\n`);
            this.#remember(line);
            options.onLine(logLine(line));
          })
            .catch(() => {})
            .finally(() => file.end());
  }

  /**
   * Waits until the adaptor serves, and gives what it told then.
   * @throws CliError ERR_CLI_ADAPTOR_DIED, ERR_CLI_ADAPTOR_SILENT after `patienceMs`; the reason of `signal`
   */
  async ready(patienceMs: number, signal: AbortSignal): Promise<AdaptorFacts> {
    const pipe = this.#child.stdio[3];
    if (!(pipe instanceof Readable)) throw await this.deathError();
    using patience = deadline(patienceMs, signal);
    const told = await awaitReady(pipe, patience).catch(async (cause: unknown) => {
      signal.throwIfAborted();
      if (!patience.aborted) throw await this.deathError();
      const message = `cloud-api-adaptor did not start within ${span(patienceMs)}`;
      throw new CliError('ERR_CLI_ADAPTOR_SILENT', message, { hint: LOG_HINT, cause });
    });
    const text = (name: string) => (typeof told[name] === 'string' ? told[name] : '');
    return { provider: text('provider'), mode: text('mode'), status: text('status') };
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  /** Ends the adaptor as a machine that is short of memory does. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  /** Asks the adaptor to end, and ends it by force when it has not after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    if (this.running) {
      this.#child.kill('SIGTERM');
      const force = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
      await this.ended;
      clearTimeout(force);
    }
  }

  /** The error for an adaptor that ended by itself, with its last words. */
  async deathError(): Promise<CliError> {
    const { code, signal } = await this.ended;
    const how = signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}`;
    const words = this.#lastOutput();
    return new CliError(
      'ERR_CLI_ADAPTOR_DIED',
      `cloud-api-adaptor ended by itself (${how})${words === '' ? '' : `: ${words}`}`,
      {
        hint: LOG_HINT,
      },
    );
  }

  #remember(line: string): void {
    this.#tail.push(line);
    if (this.#tail.length > TAIL_LINES) this.#tail.shift();
  }

  /** What the person is shown of the log: the last error, or else the last lines. */
  #lastOutput(): string {
    const lines = this.#tail.map(logLine);
    return (
      lines.findLast(line => line.level === 'error')?.text ??
      lines
        .slice(-3)
        .map(line => line.text)
        .join(' / ')
    );
  }
}

/** The environment without variables that would configure the demo's adaptor from outside. */
function cleanEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = [
    'PATH',
    'HOME',
    'LANG',
    'LC_ALL',
    'LC_CTYPE',
    'TZ',
    'TMPDIR',
    'NODE_OPTIONS',
    'NODE_V8_COVERAGE',
  ];
  return Object.fromEntries(kept.map(name => [name, env[name]]).filter(([, value]) => value !== undefined));
}
