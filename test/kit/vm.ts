// SPDX-License-Identifier: Apache-2.0
// A pod VM out of the real guest programs, in the test's hands: each of them can be started late, stopped or killed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, Program, type Teardown } from './program.js';

export interface VmPlan {
  readonly directory: string;
  /** The user-data of the adaptor. */
  readonly userData: string;
  readonly host: string;
  /** Left out: any free one. */
  readonly port?: number;
  readonly forwarderFlags?: readonly string[];
  /** What runs its forwarder, as in a program's options. The others need no network. */
  readonly within?: readonly string[];
}

export class Vm {
  readonly directory: string;
  readonly agentSocket: string;
  readonly configFile: string;
  readonly #t: Teardown;
  readonly #plan: VmPlan;
  #agent: Program | null = null;
  #forwarder: Program | null = null;
  #port: number;

  constructor(t: Teardown, plan: VmPlan) {
    this.#t = t;
    this.#plan = plan;
    this.#port = plan.port ?? 0;
    this.directory = plan.directory;
    this.agentSocket = join(plan.directory, 'agent.sock');
    this.configFile = join(plan.directory, 'run/peerpod/apf.json');
  }

  get port(): number {
    return this.#port;
  }

  get forwarder(): Program {
    if (this.#forwarder === null) throw new Error('the forwarder was not started');
    return this.#forwarder;
  }

  get agent(): Program {
    if (this.#agent === null) throw new Error('the agent was not started');
    return this.#agent;
  }

  /** Reads the user-data as a guest does at its boot. */
  async provision(): Promise<void> {
    const userData = join(this.directory, 'media/cidata/user-data');
    mkdirSync(join(userData, '..'), { recursive: true, mode: 0o700 });
    writeFileSync(userData, this.#plan.userData, { mode: 0o600 });
    const { code, stderr } = await run(this.#t, 'process-user-data', [
      'provision-files',
      '-root',
      this.directory,
      '-source',
      userData,
    ]);
    if (code !== 0) throw new Error(`process-user-data ended with ${code}: ${stderr}`);
  }

  async startAgent(): Promise<void> {
    this.#agent = new Program(this.#t, 'peerpod-dev-agent', [
      '-socket',
      this.agentSocket,
      '-root',
      this.directory,
    ]);
    await this.#agent.said('agent started without isolation');
  }

  /** Starts the forwarder, on the port it had before if it had one. */
  async startForwarder(): Promise<void> {
    const argv = [
      '-config',
      this.configFile,
      '-listen',
      `${this.#plan.host}:${this.#port}`,
      '-kata-agent-socket',
      this.agentSocket,
      '-pod-namespace',
      '',
      '-guest-root',
      this.directory,
      ...(this.#plan.forwarderFlags ?? []),
    ];
    const { within } = this.#plan;
    this.#forwarder = new Program(
      this.#t,
      'agent-protocol-forwarder',
      argv,
      within === undefined ? {} : { within },
    );
    const { address } = await this.#forwarder.said('forwarder listened');
    this.#port = Number(String(address).split(':').at(-1));
  }

  async boot(): Promise<void> {
    await this.provision();
    await Promise.all([this.startAgent(), this.startForwarder()]);
  }

  async shutdown(): Promise<void> {
    // A test may have stopped one of them.
    this.#agent?.child.kill('SIGCONT');
    await Promise.all([this.#forwarder?.kill('SIGKILL'), this.#agent?.kill('SIGTERM')]);
  }
}
