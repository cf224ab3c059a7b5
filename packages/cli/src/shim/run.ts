// SPDX-License-Identifier: Apache-2.0
// `peerpod run`: a pod VM for one command, made, used and unmade the way a kata shim does it.
import { Writable } from 'node:stream';
import type { TtrpcClient } from '@peerpod-tls/ttrpc';
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { CliError, isBrokenPipe } from '../errors.js';
import { report } from '../report.js';
import { span } from '../terminal/format.js';
import { usageError } from '../usage.js';
import { Container, type ContainerStreams } from './container.js';
import { Interrupts } from './interrupts.js';
import {
  type PodRequest,
  awaitHypervisor,
  connectAgent,
  createVm,
  holdSandbox,
  newSandboxId,
  releaseSandbox,
  startVm,
  stopVm,
} from './pod.js';

/** Exit code when peerpod itself failed, so that it is not taken for the command's; docker run does the same. */
const OWN_FAILURE = 125;
/** With -json the output is part of the result, so it has to fit into memory. */
const LARGEST_CAPTURE = 16 * 1024 * 1024;

export interface RunValues {
  readonly socket: string;
  readonly name: string;
  readonly namespace: string;
  readonly id: string | undefined;
  readonly env: readonly string[];
  readonly workdir: string;
  readonly rootfs: string;
  readonly 'machine-type': string | undefined;
  readonly image: string | undefined;
  readonly wait: number;
  readonly vcpus: number | undefined;
  readonly memory: number | undefined;
  readonly detach: boolean;
  readonly 'no-stdin': boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

export async function run(line: Line<RunValues>, io: Io): Promise<number> {
  const command = line.tail ?? [];
  if (command.length === 0)
    throw usageError('run needs a command', 'put it behind --, as in: peerpod run -- uname -a');
  checkEnv(line.values.env);
  const interrupts = new Interrupts(io.signals);
  // An error event without a listener would end the process before the VM is deleted.
  const ignore = () => {};
  io.stdout.on('error', ignore);
  try {
    return await new Run(line, command, io, interrupts).run();
  } catch (error) {
    if (interrupts.signal.aborted) return 128 + (interrupts.last ?? 2);
    if (isBrokenPipe(error)) return ExitCode.hangup;
    report(io, 'peerpod run', error);
    return OWN_FAILURE;
  } finally {
    interrupts.close();
    io.stdout.off('error', ignore);
  }
}

function checkEnv(env: readonly string[]): void {
  for (const entry of env) {
    if (!/^[^=]+=/u.test(entry))
      throw usageError(`-env ${JSON.stringify(entry)} is not NAME=VALUE`, 'for example -env LANG=C');
  }
}

class Run {
  readonly #line: Line<RunValues>;
  readonly #command: readonly string[];
  readonly #io: Io;
  readonly #interrupts: Interrupts;
  readonly #request: PodRequest;

  constructor(line: Line<RunValues>, command: readonly string[], io: Io, interrupts: Interrupts) {
    const { values } = line;
    this.#line = line;
    this.#command = command;
    this.#io = io;
    this.#interrupts = interrupts;
    this.#request = {
      id: values.id ?? newSandboxId(values.name),
      name: values.name,
      namespace: values.namespace,
      machineType: values['machine-type'],
      image: values.image,
      vcpus: values.vcpus,
      memoryMiB: values.memory,
    };
  }

  async run(): Promise<number> {
    const { socket, wait } = this.#line.values;
    const client = await awaitHypervisor(socket, wait, {
      signal: this.#interrupts.signal,
      onWait: () => this.#say(`waiting up to ${span(wait)} for an adaptor at ${socket}`),
    });
    try {
      return await this.#held(client);
    } finally {
      client.close();
    }
  }

  /** The life of the VM, on a connection whose end ends it: this program may be killed at any time. */
  async #held(client: TtrpcClient): Promise<number> {
    const { socket, detach } = this.#line.values;
    const { id } = this.#request;
    const began = performance.now();
    const lease = { state: 'held' };
    void holdSandbox(client, id).then(state => {
      lease.state = state;
      if (state === 'unknown')
        this.#say('this adaptor has no leases: a pod VM outlives a peerpod that is killed');
    });
    const agentSocket = await this.#create(client, () => lease.state === 'held');
    let keep = false;
    try {
      if (lease.state === 'taken') {
        const hint = 'leave -id out, or take another one';
        throw new CliError('ERR_CLI_CALL_FAILED', `another program holds the id ${id}`, { hint });
      }
      await startVm(socket, id, this.#interrupts.signal);
      this.#say(`pod VM ${id} is up after ${span(performance.now() - began)}`);
      const code = await this.#inside(agentSocket, began);
      if (detach && lease.state === 'held') await releaseSandbox(client, id);
      keep = detach;
      if (detach) this.#tellDetached(agentSocket);
      return code;
    } finally {
      if (!keep) await this.#stop(socket, id);
    }
  }

  /** CreateVM. Given up in the middle, it may have happened or not; what happened is undone. */
  async #create(client: TtrpcClient, held: () => boolean): Promise<string> {
    const { id } = this.#request;
    try {
      return await createVm(client, this.#request, this.#interrupts.signal);
    } catch (error) {
      // An id that the user chose may be somebody else's sandbox: that one is not ours to stop.
      if (!this.#interrupts.signal.aborted) {
        if (held()) await releaseSandbox(client, id).catch(() => {});
      } else if (held() || this.#line.values.id === undefined) {
        await stopVm(this.#line.values.socket, id).catch(() => {});
      }
      throw error;
    }
  }

  #tellDetached(agentSocket: string): void {
    const { id } = this.#request;
    const result = { id, socket: agentSocket };
    this.#io.stdout.write(this.#line.values.json ? `${JSON.stringify(result)}\n` : `${id}\n`);
  }

  async #inside(agentSocket: string, began: number): Promise<number> {
    const { values } = this.#line;
    const { signal } = this.#interrupts;
    const client = await connectAgent(agentSocket, signal);
    try {
      const container = new Container(client, {
        id: `${this.#request.id}-c`,
        sandbox: this.#request.id,
        podName: values.name,
        args: this.#command,
        env: values.env,
        cwd: values.workdir,
        rootfs: values.rootfs,
      });
      await container.createSandbox(signal);
      await container.create(signal);
      await container.start(signal);
      const commandBegan = performance.now();
      if (values.detach) return ExitCode.ok;
      this.#interrupts.forwardNext(number => {
        this.#say('passed the signal to the command; once more deletes the pod VM');
        container.signal(number).catch((error: unknown) => report(this.#io, 'peerpod run', error));
      });
      const stdin = values['no-stdin'] ? null : this.#io.stdin;
      if (!values.json) {
        const code = await container.finish(
          { stdin, stdout: this.#io.stdout, stderr: this.#io.stderr },
          signal,
        );
        this.#say(`the command ended with exit code ${code} after ${span(performance.now() - commandBegan)}`);
        await container.remove();
        await container.destroySandbox();
        return code;
      }
      const capture = { stdout: new Capture(), stderr: new Capture() };
      const code = await container.finish({ stdin, ...capture } satisfies ContainerStreams, signal);
      await container.remove();
      await container.destroySandbox();
      const result = { id: this.#request.id, exitCode: code, ms: Math.round(performance.now() - began) };
      const output = { stdout: capture.stdout.text(), stderr: capture.stderr.text() };
      this.#io.stdout.write(`${JSON.stringify({ ...result, ...output })}\n`);
      return code;
    } finally {
      client.close();
    }
  }

  /** Deletes the VM whatever happened before; a failure here is told beside the one that led here. */
  async #stop(socket: string, id: string): Promise<void> {
    try {
      // The adaptor may have been restarted under us.
      (await awaitHypervisor(socket, this.#line.values.wait)).close();
      await stopVm(socket, id);
      this.#say(`pod VM ${id} is deleted`);
    } catch (error) {
      report(this.#io, 'peerpod run', error);
      this.#io.stderr.write(
        `peerpod run: pod VM ${id} may still be there; try: peerpod stop ${id} --socket ${socket}\n`,
      );
    }
  }

  #say(text: string): void {
    const { quiet, json } = this.#line.values;
    if (!quiet && !json) this.#io.stderr.write(this.#line.err.dim(`peerpod: ${text}`) + '\n');
  }
}

/** Collects an output for the JSON result. */
class Capture extends Writable {
  readonly #chunks: Buffer[] = [];
  #size = 0;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.#size += chunk.length;
    if (this.#size > LARGEST_CAPTURE) {
      const hint = 'leave -json out, the output then streams';
      done(
        new CliError(
          'ERR_CLI_CALL_FAILED',
          'the command printed more than 16 MiB, too much for one JSON text',
          { hint },
        ),
      );
      return;
    }
    this.#chunks.push(chunk);
    done();
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString();
  }
}
