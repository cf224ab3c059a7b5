// SPDX-License-Identifier: Apache-2.0
// One container in a pod VM, with the calls a kata shim makes for it: create, start, carry its streams, wait, remove.
import type { Readable, Writable } from 'node:stream';
import { anySignal, codeOf } from '@peerpod-tls/base';
import { agentService } from '@peerpod-tls/agent-protocol';
import { StatusCode, type TtrpcClient, type TypedClient, clientOf } from '@peerpod-tls/ttrpc';
import { callError, statusOf } from './call-error.js';
import { type SpecRequest, ociSpec } from './oci-spec.js';

/** Where the container's streams go; `stdin` null closes its standard input at once. */
export interface ContainerStreams {
  readonly stdin: Readable | null;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** The shims' timeout for calls that do not wait by nature; creating a container may pull an image. */
const CALL_MS = 60_000;
const CREATE_MS = 300_000;
/** The size of the reads that the Go shim makes. */
const READ_BYTES = 32 * 1024;
/** One message stays well below ttrpc's 4 MiB; this is the chunk in which a pipe delivers anyway. */
const WRITE_BYTES = 64 * 1024;

/** A container through one agent connection. The connection belongs to the caller. */
export class Container {
  readonly #agent: TypedClient<typeof agentService>;
  readonly #spec: SpecRequest;
  /** The first process of a container goes by the container's id. */
  readonly #process: { readonly containerId: string; readonly execId: string };

  constructor(client: TtrpcClient, spec: SpecRequest) {
    this.#agent = clientOf(agentService, client);
    this.#spec = spec;
    this.#process = { containerId: spec.id, execId: spec.id };
  }

  /** Makes the sandbox in the VM, which its first container needs. */
  async createSandbox(signal?: AbortSignal): Promise<void> {
    const { sandbox, podName } = this.#spec;
    await this.#call('CreateSandbox', () =>
      this.#agent.CreateSandbox({ hostname: podName, sandboxId: sandbox }, { timeoutMs: CREATE_MS, signal }),
    );
  }

  async create(signal?: AbortSignal): Promise<void> {
    const patience = { timeoutMs: CREATE_MS, signal };
    const OCI = ociSpec(this.#spec);
    await this.#call('CreateContainer', () =>
      this.#agent.CreateContainer({ ...this.#process, OCI }, patience),
    );
  }

  async start(signal?: AbortSignal): Promise<void> {
    const { containerId } = this.#process;
    await this.#call('StartContainer', () =>
      this.#agent.StartContainer({ containerId }, { timeoutMs: CALL_MS, signal }),
    );
  }

  /** Carries the streams until both outputs have ended, waits for the process, and gives its exit code. */
  async finish(streams: ContainerStreams, signal: AbortSignal): Promise<number> {
    const stopInput = new AbortController();
    using stopped = anySignal(signal, stopInput.signal);
    const input = this.#writeInput(streams.stdin, stopped);
    const exit = this.#call('WaitProcess', () => this.#agent.WaitProcess(this.#process, { signal }));
    try {
      await Promise.all([
        this.#readOutput('ReadStdout', streams.stdout, signal),
        this.#readOutput('ReadStderr', streams.stderr, signal),
        exit,
      ]);
      return (await exit).status;
    } finally {
      stopInput.abort();
      await input;
    }
  }

  /** Sends a signal, by number, to the container's first process. */
  async signal(number: number): Promise<void> {
    await this.#call('SignalProcess', () =>
      this.#agent.SignalProcess({ ...this.#process, signal: number }, { timeoutMs: CALL_MS }),
    );
  }

  /** Takes the container out of the VM. */
  async remove(): Promise<void> {
    const { containerId } = this.#process;
    await this.#call('RemoveContainer', () =>
      this.#agent.RemoveContainer({ containerId, timeout: 10 }, { timeoutMs: CALL_MS }),
    );
  }

  /** Ends the sandbox. The agent ends with it, and its answer may be lost on the way. */
  async destroySandbox(): Promise<void> {
    try {
      await this.#agent.DestroySandbox({}, { timeoutMs: CALL_MS });
    } catch (error) {
      const gone = codeOf(error) === 'ERR_TTRPC_CLOSED' || statusOf(error) === StatusCode.unavailable;
      if (!gone) throw callError('DestroySandbox', error);
    }
  }

  /** Reads until the agent says that the stream has ended: by an error with the word EOF, as kata does, or with nothing. */
  async #readOutput(method: 'ReadStdout' | 'ReadStderr', to: Writable, signal: AbortSignal): Promise<void> {
    for (;;) {
      let data: Uint8Array;
      try {
        ({ data } = await this.#agent[method]({ ...this.#process, len: READ_BYTES }, { signal }));
      } catch (error) {
        if (isEndOfStream(error)) return;
        throw callError(method, error);
      }
      if (data.length === 0) return;
      await write(to, data, signal);
    }
  }

  /** Passes standard input on. A process that no longer reads ends the passing, not the command. */
  async #writeInput(from: Readable | null, signal: AbortSignal): Promise<void> {
    try {
      if (from !== null) {
        // Breaking off the iteration destroys the stream, which is what lets the program end after the command has.
        const stop = () => from.destroy();
        signal.addEventListener('abort', stop, { once: true });
        for await (const chunk of from) await this.#writeChunk(Buffer.from(chunk), signal);
        signal.removeEventListener('abort', stop);
      }
      await this.#agent.CloseStdin(this.#process, { timeoutMs: CALL_MS, signal });
    } catch {
      // Whether the command did its work is told by WaitProcess alone.
    }
  }

  async #writeChunk(chunk: Buffer, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const data = chunk.subarray(at, at + WRITE_BYTES);
      const { len } = await this.#agent.WriteStdin({ ...this.#process, data }, { signal });
      if (len === 0) return;
      at += len;
    }
  }

  async #call<T>(method: string, use: () => Promise<T>): Promise<T> {
    try {
      return await use();
    } catch (error) {
      throw callError(method, error);
    }
  }
}

function isEndOfStream(error: unknown): boolean {
  return statusOf(error) !== undefined && error instanceof Error && /\beof\b/iu.test(error.message);
}

/** Writes and waits until there is room again. A reader that went away shows as EPIPE. */
function write(to: Writable, data: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason instanceof Error ? signal.reason : new Error('interrupted'));
    signal.addEventListener('abort', stop, { once: true });
    to.write(data, error => {
      signal.removeEventListener('abort', stop);
      if (error) reject(error);
      else resolve();
    });
  });
}
