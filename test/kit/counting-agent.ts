// SPDX-License-Identifier: Apache-2.0
// An agent that keeps count: which calls it saw and how often, what was written to it, byte by byte, and what it gave
// out. Whoever was answered compares. It runs nothing.
import { createHash, randomBytes, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { agentService, healthService } from '@peerpod-tls/agent-protocol';
import { implement, TtrpcServer } from '@peerpod-tls/ttrpc';
import type { Teardown } from './program.js';

/** A length that is no multiple of any buffer's, so that a slip shows. */
const PATTERN = randomBytes(65_521);

/** What standard output of any process has at a position. */
export function patternAt(position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const from = (position + at) % PATTERN.length;
    at += PATTERN.copy(bytes, at, from, Math.min(PATTERN.length, from + length - at));
  }
  return bytes;
}

interface Written {
  readonly hash: Hash;
  length: number;
}

export class CountingAgent {
  /** How often each container was created, and each process executed, by id. */
  readonly seen = new Map<string, number>();
  /** Idempotent calls. */
  polls = 0;
  readonly #stdin = new Map<string, Written>();
  readonly #stdout = new Map<string, number>();
  readonly #exits = new Map<
    string,
    { readonly exited: Promise<number>; readonly exit: (code: number) => void }
  >();
  readonly #held = new Map<string, Promise<void>>();
  readonly #sockets = new Set<Socket>();

  private constructor() {}

  static async start(t: Teardown, path: string): Promise<CountingAgent> {
    const agent = new CountingAgent();
    const server = new TtrpcServer({ services: agent.#services() });
    const listener = createServer({ allowHalfOpen: true }, socket => {
      agent.#sockets.add(socket.once('close', () => agent.#sockets.delete(socket)));
      void server.serve(socket);
    }).listen(path);
    await once(listener, 'listening');
    t.teardown(async () => {
      const closed = once(listener, 'close');
      listener.close();
      server.destroy();
      await closed;
    });
    return agent;
  }

  /** Connections that stand now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** What was written to a process's standard input: how much, and its hash. */
  stdinOf(id: string): { readonly length: number; readonly sha256: string } {
    const written = this.#stdin.get(id);
    if (written === undefined) return { length: 0, sha256: sha256() };
    return { length: written.length, sha256: written.hash.copy().digest('hex') };
  }

  /** How much of a process's standard output was given out. */
  stdoutOf(id: string): number {
    return this.#stdout.get(id) ?? 0;
  }

  /** Ends a process, for those that wait for it and those that will. */
  exit(id: string, code: number): void {
    this.#process(id).exit(code);
  }

  /** Takes the call that creates or executes `id`, and answers only once the function that this gives is called. */
  hold(id: string): () => void {
    let release = (): void => {};
    this.#held.set(id, new Promise(resolve => (release = resolve)));
    return release;
  }

  #process(id: string): { readonly exited: Promise<number>; readonly exit: (code: number) => void } {
    const known = this.#exits.get(id);
    if (known !== undefined) return known;
    let exit = (_code: number): void => {};
    const exited = new Promise<number>(resolve => (exit = resolve));
    const made = { exited, exit };
    this.#exits.set(id, made);
    return made;
  }

  async #see(id: string): Promise<Record<string, never>> {
    this.seen.set(id, (this.seen.get(id) ?? 0) + 1);
    await this.#held.get(id);
    return {};
  }

  #poll<T>(answer: T): T {
    this.polls += 1;
    return answer;
  }

  #services(): ConstructorParameters<typeof TtrpcServer>[0]['services'] {
    return [
      implement(healthService, { Check: () => this.#poll({ status: 1 }) }),
      implement(agentService, {
        GetGuestDetails: () => this.#poll({}),
        StatsContainer: () => this.#poll({}),
        CreateContainer: ({ containerId = '' }) => this.#see(containerId),
        ExecProcess: ({ execId = '' }) => this.#see(execId),
        WaitProcess: async ({ execId = '' }) => ({ status: await this.#process(execId).exited }),
        WriteStdin: ({ execId = '', data = Buffer.alloc(0) }) => {
          const written = this.#stdin.get(execId) ?? { hash: createHash('sha256'), length: 0 };
          written.hash.update(data);
          written.length += data.length;
          this.#stdin.set(execId, written);
          return { len: data.length };
        },
        ReadStdout: ({ execId = '', len = 0 }) => {
          const position = this.stdoutOf(execId);
          this.#stdout.set(execId, position + len);
          return { data: patternAt(position, len) };
        },
      }),
    ];
  }
}

/** The hash of nothing, or of what is given in pieces. */
export function sha256(...pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}
