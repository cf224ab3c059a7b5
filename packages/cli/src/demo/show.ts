// SPDX-License-Identifier: Apache-2.0
// The demo's story from the first process to the last: adaptor, pod VM, command, live view, and the end of all of it.
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type TtrpcClient } from '@peerpod-tls/ttrpc';
import { ExitCode, type Io } from '../io.js';
import { anySignal, codeOf, deadline, messageOf, sleep } from '@peerpod-tls/base';
import { Container } from '../shim/container.js';
import { connectAgent, connectHypervisor, createVm, startVm, stopVm } from '../shim/pod.js';
import { readSandboxes, takeSnapshot } from '../status/endpoint.js';
import { waitingMethods } from '../status/status.js';
import { summarize } from '../status/summary.js';
import { span } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { AdaptorProcess, FORWARDER_PORT } from './adaptor-process.js';
import type { DemoCommand } from './command.js';
import { endProxies } from './end-proxies.js';
import { Heartbeat } from './heartbeat.js';
import { liveFields, liveLine, liveLines } from './live-view.js';
import type { LogLine } from './log-lines.js';
import { ownCommand } from './own-command.js';
import type { Place } from './place.js';
import { restartUnderCommand } from './restart.js';
import type { Stage } from './stage.js';
import { knock } from './stranger.js';
import {
  type AdaptorFacts,
  adaptorStep,
  agentStep,
  certificateStep,
  createdStep,
  identityStep,
  startedStep,
} from './story.js';
import { VmConsoles } from './vm-console.js';

export interface ShowOptions {
  readonly place: Place;
  readonly stage: Stage;
  readonly style: Style;
  readonly io: Io;
  readonly command: DemoCommand;
  readonly once: boolean;
  /** Aborted when the demo is to end; the reason is the exit code. */
  readonly signal: AbortSignal;
}

const SANDBOX = 'demo';
const POD = 'hello';
const START_MS = 30_000;
const STOP_MS = 20_000;
const ADAPTOR_GRACE_MS = 5_000;
const PROXY_GRACE_MS = 3_000;
const BEAT_MS = 1_000;
const DEATH_SHOWS_MS = 500;

export class Show {
  readonly #o: ShowOptions;
  #adaptor: AdaptorProcess | null = null;
  #status = '';
  /** host:port of the VM's forwarder. */
  #vm = '';
  readonly #consoles: VmConsoles;
  #serving = false;
  #stopping = false;
  /** Rejects when an adaptor ends that nobody ended. */
  readonly #died: Promise<never>;
  #tellDeath: (error: unknown) => void = () => {};
  /** Ends what still runs once the outcome is known: a race that was lost goes on otherwise. */
  readonly #over = new AbortController();
  /** Aborted when the demo is to end, or has. */
  readonly #signal: AbortSignal;

  constructor(options: ShowOptions) {
    this.#o = options;
    this.#signal = anySignal(options.signal, this.#over.signal);
    this.#consoles = new VmConsoles(join(options.place.dir, 'vm'));
    this.#died = new Promise((_, reject) => (this.#tellDeath = reject));
    // It is raced below; until then a rejection must not count as unhandled.
    this.#died.catch(() => {});
  }

  /** Tells the whole story and gives the exit code. */
  async run(): Promise<number> {
    const { stage, signal, once } = this.#o;
    stage.open();
    let code: number = ExitCode.failed;
    try {
      const died = this.#died;
      const adaptor = await this.#firstAdaptor();
      const client = await Promise.race([died, this.#startPod(adaptor)]);
      try {
        const kept = await Promise.race([died, this.#letStrangerTry()]);
        const exit = await Promise.race([died, this.#runCommand(client)]);
        const outlived = await Promise.race([died, this.#restartAdaptor(client)]);
        code = exit === 0 && kept && outlived ? ExitCode.ok : ExitCode.failed;
        if (!once) await Promise.race([died, this.#serve(client, adaptor)]);
      } finally {
        client.close();
      }
    } catch (error) {
      if (!signal.aborted) throw await this.#rootCause(error);
      // Ctrl-C is how a serving demo is meant to end; before that it cuts the story short.
      if (!this.#serving) code = typeof signal.reason === 'number' ? signal.reason : ExitCode.failed;
    } finally {
      this.#over.abort();
      await this.#stop();
    }
    return code;
  }

  /** A call that failed because the adaptor died is told as its death, which shows a moment later. */
  async #rootCause(failure: unknown): Promise<unknown> {
    const adaptor = this.#adaptor;
    if (adaptor === null || codeOf(failure) !== 'ERR_CLI_CALL_FAILED') return failure;
    await Promise.race([adaptor.ended, sleep(DEATH_SHOWS_MS)]);
    return adaptor.running ? failure : adaptor.deathError();
  }

  async #firstAdaptor(): Promise<AdaptorProcess> {
    const { stage } = this.#o;
    const began = performance.now();
    stage.waiting('starting cloud-api-adaptor');
    const { adaptor, facts } = await this.#startAdaptor();
    stage.step(adaptorStep(facts, performance.now() - began));
    const snapshot = await takeSnapshot(this.#status, this.#signal);
    stage.step(identityStep(summarize(snapshot)));
    return adaptor;
  }

  async #startAdaptor(): Promise<{ adaptor: AdaptorProcess; facts: AdaptorFacts }> {
    const { place, io } = this.#o;
    const adaptor = new AdaptorProcess({ dir: place.dir, env: io.env, onLine: line => this.#hear(line) });
    this.#adaptor = adaptor;
    void adaptor.ended.then(async () => {
      if (this.#adaptor === adaptor)
        this.#tellDeath(this.#stopping ? this.#signal.reason : await adaptor.deathError());
    });
    const facts = await adaptor.ready(START_MS, this.#signal);
    this.#status = facts.status;
    return { adaptor, facts };
  }

  /** Kills the adaptor under a command that runs, starts another one, and shows whether the command noticed. */
  async #restartAdaptor(client: TtrpcClient): Promise<boolean> {
    const { stage } = this.#o;
    stage.waiting('the adaptor is killed under a command that runs');
    const restart = async (): Promise<void> => {
      const killed = this.#adaptor;
      this.#adaptor = null;
      await killed?.kill();
      await this.#startAdaptor();
    };
    const { step, whole } = await restartUnderCommand(client, SANDBOX, POD, restart, this.#signal);
    stage.step(step, whole ? 'ok' : 'bad');
    return whole;
  }

  /** A line of the adaptor's log: shown when it is no good news, and while the demo serves. */
  #hear(line: LogLine): void {
    if (this.#stopping || (line.level === 'quiet' && !this.#serving)) return;
    this.#o.stage.remark(`adaptor: ${line.text}`);
  }

  async #startPod(adaptor: AdaptorProcess): Promise<TtrpcClient> {
    const { stage } = this.#o;
    const signal = this.#signal;
    let began = performance.now();
    const took = () => performance.now() - began;
    stage.waiting('the shim asks for a pod VM');
    const request = { id: SANDBOX, name: POD, namespace: 'default' };
    const hypervisor = await connectHypervisor(adaptor.hypervisorSocket);
    const agentSocket = await createVm(hypervisor, request, signal).finally(() => hypervisor.close());
    stage.step(createdStep(agentSocket, took()));
    stage.waiting('the pod VM starts');
    began = performance.now();
    await startVm(adaptor.hypervisorSocket, SANDBOX, signal);
    const ms = took();
    const row = (await readSandboxes(this.#status, signal)).rows.find(({ id }) => id === SANDBOX);
    if (row !== undefined) {
      this.#vm = `${row.addresses[0] ?? ''}:${FORWARDER_PORT}`;
      stage.step(startedStep(row, ms));
      if (row.leaf !== null) stage.step(certificateStep(row.leaf, new Date()));
    }
    const client = await connectAgent(agentSocket, signal);
    const heartbeat = new Heartbeat(client);
    await heartbeat.beat(signal);
    if (heartbeat.last !== null) stage.step(agentStep(heartbeat.last));
    return client;
  }

  /** Knocks at the VM without a certificate, and shows both ends of the refusal; false if there was none. */
  async #letStrangerTry(): Promise<boolean> {
    const { stage } = this.#o;
    this.#consoles.read();
    const { answered } = await knock(this.#vm, this.#signal);
    const said = answered ? [] : await this.#consoleLines();
    const lines = answered
      ? ['a call without a certificate was answered: anybody can drive this pod']
      : ['a call without a certificate got no answer', ...said.map(text => `VM: ${text}`)];
    stage.step({ name: 'stranger', lines, fields: { answered, said } }, answered ? 'bad' : 'ok');
    return !answered;
  }

  /** What the VM has to warn of meanwhile; a line may take a moment to get to the console. */
  async #consoleLines(): Promise<readonly string[]> {
    for (let i = 0; i < 20; i++) {
      const lines = this.#consoles.read().filter(line => line.level !== 'quiet');
      if (lines.length > 0) return lines.map(line => line.text);
      await sleep(50, this.#signal);
    }
    return [];
  }

  /** Runs the command in the pod and shows its output; gives its exit code. */
  async #runCommand(client: TtrpcClient): Promise<number> {
    const { stage, command } = this.#o;
    const signal = this.#signal;
    const began = performance.now();
    const container = new Container(client, {
      id: `${SANDBOX}-c`,
      sandbox: SANDBOX,
      podName: POD,
      args: command.args,
      env: [],
      cwd: '/',
      rootfs: '/',
    });
    await container.createSandbox(signal);
    await container.create(signal);
    await container.start(signal);
    stage.step({ name: 'command', lines: [command.text], fields: { args: command.args } });
    const exit = await container.finish(
      { stdin: null, stdout: this.#output('stdout'), stderr: this.#output('stderr') },
      signal,
    );
    stage.outputEnd();
    const ms = performance.now() - began;
    stage.step(
      {
        name: 'exit',
        lines: [`code ${exit}, ${span(ms)} after CreateContainer`],
        fields: { code: exit, ms },
      },
      exit === 0 ? 'ok' : 'bad',
    );
    await container.remove();
    return exit;
  }

  #output(name: 'stdout' | 'stderr'): Writable {
    const { stage } = this.#o;
    return new Writable({
      write(chunk: Buffer, _encoding, done) {
        stage.output(name, chunk);
        done();
      },
    });
  }

  /** Serves until the demo is to end, with one Check and one look at the status each second. */
  async #serve(client: TtrpcClient, adaptor: AdaptorProcess): Promise<never> {
    const { stage, style, io } = this.#o;
    const signal = this.#signal;
    this.#serving = true;
    const began = performance.now();
    const heartbeat = new Heartbeat(client);
    stage.hints(this.#hints(adaptor));
    let before = await takeSnapshot(this.#status, signal).catch(() => undefined);
    for (;;) {
      await heartbeat.beat(signal);
      const snapshot = await takeSnapshot(this.#status, signal).catch(() => undefined);
      signal.throwIfAborted();
      const summary = snapshot === undefined ? null : summarize(snapshot, before, waitingMethods);
      for (const line of this.#consoles.read()) {
        if (line.level !== 'quiet') stage.remark(`VM: ${line.text}`);
      }
      const sandboxes = snapshot?.sandboxes.rows ?? [];
      const figures = { servingMs: performance.now() - began, heartbeat, summary, sandboxes };
      stage.live(liveLines(figures, style, io.stdout.columns ?? 80), liveLine(figures), liveFields(figures));
      before = snapshot ?? before;
      await sleep(BEAT_MS, signal);
    }
  }

  /** Commands for another terminal, wherever it stands. */
  #hints(adaptor: AdaptorProcess): string[] {
    const { io, place } = this.#o;
    const program = ownCommand(process.argv[1], io.env);
    return [
      `${program} ps --address ${this.#status}`,
      `${program} agent GetGuestDetails --socket ${place.dir}/pods/${SANDBOX}/agent.ttrpc`,
      `${program} run --socket ${adaptor.hypervisorSocket} -- uname -a`,
      `openssl s_client -connect ${this.#vm} </dev/null`,
    ];
  }

  /** Stops every sandbox in order, then the adaptor. What resists is swept away afterwards. */
  async #stop(): Promise<void> {
    const { stage, place } = this.#o;
    const adaptor = this.#adaptor;
    this.#stopping = true;
    if (adaptor === null) return;
    const began = performance.now();
    stage.waiting('stopping the pod VM and the adaptor');
    let trouble: string | null = null;
    if (adaptor.running && this.#status !== '') {
      using signal = deadline(STOP_MS);
      const rows = await readSandboxes(this.#status, signal).then(
        list => list.rows,
        () => [{ id: SANDBOX }],
      );
      const stops = rows.map(({ id }) => stopVm(adaptor.hypervisorSocket, id, signal));
      for (const result of await Promise.allSettled(stops)) {
        if (result.status === 'rejected') trouble = messageOf(result.reason);
      }
    }
    await adaptor.stop(ADAPTOR_GRACE_MS);
    await endProxies(adaptor.stateDir, PROXY_GRACE_MS);
    const left = await place.clear();
    const lines = [
      `everything is stopped and ${place.keep ? `kept in ${place.dir}` : 'removed'}, in ${span(performance.now() - began)}`,
    ];
    if (trouble !== null) lines.push(trouble);
    if (left > 0) lines.push(`${left} processes had to be ended by force`);
    stage.step(
      { name: 'end', lines, fields: { forced: left, trouble } },
      trouble === null && left === 0 ? 'ok' : 'bad',
    );
  }
}
