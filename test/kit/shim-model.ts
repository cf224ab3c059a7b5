// SPDX-License-Identifier: Apache-2.0
// A shim that connects, makes calls of every kind, and leaves, at random; it knows what each call must have come to and
// notes where that is not so. The agent it compares with is counting-agent.ts.
import { createHash, type Hash } from 'node:crypto';
import type { CountedPod } from './counted-pod.js';
import { patternAt } from './counting-agent.js';
import type { Random } from './seeded.js';
import type { ShimAgent } from './shim.js';

export interface ShimModelOptions {
  readonly name: string;
  readonly pod: CountedPod;
  readonly random: Random;
}

/** A process's streams, as far as they were answered. */
interface Streams {
  readonly execId: string;
  readonly stdin: Hash;
  written: number;
  read: number;
}

/** Whether a shim is about to go: after its last answer, or in the middle of its calls. */
interface Leave {
  how: 'stays' | 'politely' | 'abruptly';
}

const leaves = ({ how }: Leave, asked: Leave['how']): boolean => how === asked;

/** Longest call that is still taken for one that comes back. */
const LATE_MS = 30_000;

export class ShimModel {
  readonly faults: string[] = [];
  answered = 0;
  /** Calls that were open when their connection was closed by this shim. */
  abandoned = 0;
  connections = 0;
  readonly #o: ShimModelOptions;
  #ids = 0;
  #stopping = false;
  #running: Promise<void> = Promise.resolve();

  constructor(o: ShimModelOptions) {
    this.#o = o;
  }

  start(): void {
    this.#stopping = false;
    this.#running = this.#run().catch((error: unknown) => this.#fault(`gave up: ${String(error)}`));
  }

  /** Ends once the last call was answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  #fault(what: string): void {
    this.faults.push(`${this.#o.name}: ${what}`);
  }

  async #run(): Promise<void> {
    const { pod, random } = this.#o;
    while (!this.#stopping) {
      const shim = await pod.dial();
      this.connections += 1;
      const leave: Leave = { how: 'stays' };
      const streams: Streams = { execId: this.#id(), stdin: createHash('sha256'), written: 0, read: 0 };
      const lanes = [
        this.#lane(leave, () => this.#write(shim, streams)),
        this.#lane(leave, () => this.#read(shim, streams)),
        this.#lane(leave, () => this.#act(shim)),
        this.#lane(leave, () => this.#wait(shim)),
      ];
      const end = Date.now() + 20 + random.below(1500);
      while (Date.now() < end && !this.#stopping) await new Promise(resolve => setTimeout(resolve, 10));
      // Half of them leave in the middle of their calls, as a shim that is killed does.
      const abrupt = random.below(2) === 0;
      leave.how = abrupt ? 'abruptly' : 'politely';
      if (abrupt) shim.client.close();
      await Promise.all(lanes);
      if (!abrupt) {
        this.#compare(streams);
        shim.client.close();
      }
    }
  }

  #id(): string {
    this.#ids += 1;
    return `${this.#o.name}-${this.#ids}`;
  }

  /** One call after the other until the shim leaves. */
  async #lane(leave: Leave, call: () => Promise<string | null>): Promise<void> {
    while (leaves(leave, 'stays')) {
      const late = setTimeout(() => this.#fault('a call was not answered in time'), LATE_MS);
      try {
        const fault = await call();
        this.answered += 1;
        if (fault !== null) this.#fault(fault);
      } catch (error) {
        if (!leaves(leave, 'abruptly'))
          return this.#fault(`a call failed: ${error instanceof Error ? error.message : String(error)}`);
        // By its own leaving; whether the agent had it is not known.
        this.abandoned += 1;
      } finally {
        clearTimeout(late);
      }
    }
  }

  async #write({ agent }: ShimAgent, streams: Streams): Promise<string | null> {
    const data = patternAt(streams.written, 1 + this.#o.random.below(30_000));
    const { len } = await agent.WriteStdin({ containerId: 'c', execId: streams.execId, data });
    streams.stdin.update(data);
    streams.written += data.length;
    return len === data.length ? null : `${len} of ${data.length} bytes were written`;
  }

  async #read({ agent }: ShimAgent, streams: Streams): Promise<string | null> {
    const len = 1 + this.#o.random.below(30_000);
    const { data } = await agent.ReadStdout({ containerId: 'c', execId: streams.execId, len });
    const wanted = patternAt(streams.read, len);
    streams.read += len;
    return wanted.equals(data) ? null : `output has a gap before byte ${streams.read}`;
  }

  async #act({ agent }: ShimAgent): Promise<string | null> {
    const id = this.#id();
    const { pod, random } = this.#o;
    if (random.below(3) === 0) {
      await agent.StatsContainer({ containerId: 'c' });
      return null;
    }
    if (random.below(2) === 0) {
      await agent.CreateContainer({
        containerId: id,
        execId: id,
        OCI: { Version: '1.1.0', Process: { Args: ['true'] }, Linux: {} },
      });
    } else await agent.ExecProcess({ containerId: 'c', execId: id, process: { Args: ['true'] } });
    const times = pod.agent.seen.get(id) ?? 0;
    return times === 1 ? null : `the agent saw ${id} ${times} times`;
  }

  async #wait({ agent }: ShimAgent): Promise<string | null> {
    const execId = this.#id();
    const code = this.#o.random.below(200);
    const timer = setTimeout(() => this.#o.pod.agent.exit(execId, code), this.#o.random.below(150));
    try {
      const { status } = await agent.WaitProcess({ containerId: 'c', execId });
      return status === code ? null : `exit code ${status} came instead of ${code}`;
    } finally {
      clearTimeout(timer);
    }
  }

  /** All was answered: the agent has what was written, and gave out what was read. */
  #compare({ execId, stdin, written, read }: Streams): void {
    const { agent } = this.#o.pod;
    const has = agent.stdinOf(execId);
    if (written > 0 && (has.length !== written || has.sha256 !== stdin.digest('hex')))
      this.#fault(`the agent has ${has.length} of ${written} bytes of input, or others`);
    if (agent.stdoutOf(execId) !== read)
      this.#fault(`the agent gave out ${agent.stdoutOf(execId)} bytes, ${read} came`);
  }
}
