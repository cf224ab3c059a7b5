// SPDX-License-Identifier: Apache-2.0
// One place for a data path thread: its sandboxes, and the thread that has them at the moment. When a thread ends by
// itself another takes its place and opens the same sockets; the connections on them are lost.
import { unlinkSync } from 'node:fs';
import { abortable, Backoff, codeOf, sleep } from '@peerpod-tls/base';
import { CallStats } from '../call-stats.js';
import { threadLost } from '../errors.js';
import type { AgentAnswer, ProxySpec, ThreadView } from '../spec.js';
import { DataPathThread, type DataPathThreadOptions } from './data-path-thread.js';
import type { ThreadLook } from './messages.js';

/** So often a task is given to the next thread when the one that had it ended. */
const TRIES = 3;
/** A thread that lived this long did not end because of how it began. */
const LIVED_MS = 60_000;

const NOTHING: ThreadLook = { views: [], calls: [] };

interface Home {
  readonly spec: ProxySpec;
  /** False while its first opening is under way, which sees to itself. */
  open: boolean;
}

export class ThreadSlot {
  readonly #o: Omit<DataPathThreadOptions, 'onLost'>;
  readonly #homes = new Map<string, Home>();
  readonly #backoff = new Backoff({ firstMs: 20, longestMs: 10_000, factor: 4, jitter: 0.1 });
  #thread: DataPathThread | null = null;
  #startedAt = 0;
  /** Resolves when the thread that replaces a lost one has the sockets; null while none is lost. */
  #replacing: Promise<void> | null = null;
  /** Aborted, and replaced by another one, with each drain. */
  #draining = new AbortController();
  #awaiting = 0;
  #look: ThreadLook = NOTHING;
  #before: readonly number[] = [];

  constructor(o: Omit<DataPathThreadOptions, 'onLost'>) {
    this.#o = o;
  }

  /** Sandboxes, and those whose agent is awaited. */
  get load(): number {
    return this.#homes.size + this.#awaiting;
  }

  get down(): boolean {
    return this.#replacing !== null;
  }

  /** What the thread said when it was last asked. */
  get look(): ThreadLook {
    return this.#look;
  }

  /** What threads that ended had counted, as far as they were asked. */
  get before(): readonly number[] {
    return this.#before;
  }

  view(): ThreadView | null {
    if (this.#thread === null) return null;
    return {
      thread: this.#o.thread,
      sandboxes: this.#homes.size,
      connections: this.#look.views.reduce((sum, { connections }) => sum + connections, 0),
      busySeconds: this.#thread.busySeconds,
    };
  }

  async awaitAgent(
    spec: ProxySpec,
    { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<AgentAnswer> {
    const end = performance.now() + deadlineMs;
    let left = deadlineMs;
    this.#awaiting += 1;
    try {
      return await this.#again(async thread => {
        const answer = await thread
          .run({ t: 'await-agent', spec, deadlineMs: left }, signal)
          .finally(() => (left = Math.max(1, Math.round(end - performance.now()))));
        if (answer.t !== 'agent') throw new Error(`internal error: ${answer.t} for an agent`);
        return answer.agent;
      }, signal);
    } finally {
      this.#awaiting -= 1;
    }
  }

  async open(spec: ProxySpec): Promise<void> {
    const home: Home = { spec, open: false };
    this.#homes.set(spec.sandbox, home);
    try {
      await this.#again(thread => thread.run({ t: 'open', spec }));
      home.open = true;
    } catch (error) {
      this.#homes.delete(spec.sandbox);
      throw error;
    }
  }

  async close(sandbox: string): Promise<void> {
    const home = this.#homes.get(sandbox);
    this.#homes.delete(sandbox);
    // One that is being replaced opens what is in the table by then, and nothing else.
    if (this.#replacing === null && this.#thread !== null) {
      try {
        await this.#thread.run({ t: 'close', sandbox });
        return;
      } catch (error) {
        if (!isLost(error)) throw error;
      }
    }
    if (home !== undefined) unlinkQuietly(home.spec.socket);
  }

  async drain(signal: AbortSignal): Promise<void> {
    const homes = [...this.#homes.values()];
    this.#homes.clear();
    this.#draining.abort();
    await this.#replacing;
    this.#draining = new AbortController();
    const thread = this.#thread;
    if (thread !== null) {
      await thread.run({ t: 'drain' }, signal).catch((error: unknown) => {
        if (!isLost(error)) throw error;
        for (const { spec } of homes) unlinkQuietly(spec.socket);
      });
      this.#thread = null;
      this.#keepFigures();
      await thread.end();
    }
  }

  /** Asks the thread, for as long as the signal allows. Never rejects. */
  async takeLook(within: AbortSignal): Promise<void> {
    const thread = this.#thread;
    if (thread === null || this.#replacing !== null) return;
    try {
      const answer = await abortable(thread.run({ t: 'look' }), within);
      if (answer.t === 'look' && thread === this.#thread) this.#look = answer.look;
    } catch (err) {
      if (!isLost(err)) this.#o.log.warn({ thread: this.#o.thread }, 'data path thread does not answer');
    }
  }

  async #again<T>(task: (thread: DataPathThread) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const drained = this.#draining.signal;
    for (let tries = 1; ; tries += 1) {
      if (this.#replacing !== null)
        await (signal === undefined ? this.#replacing : abortable(this.#replacing, signal));
      if (drained.aborted) throw threadLost(this.#o.thread, new Error('the data path was drained'));
      try {
        return await task(this.#started());
      } catch (error) {
        if (!isLost(error) || tries === TRIES) throw error;
      }
    }
  }

  #started(): DataPathThread {
    if (this.#thread !== null) return this.#thread;
    const { thread, log } = this.#o;
    const started = new DataPathThread({ ...this.#o, onLost: cause => this.#lost(started, cause) });
    this.#thread = started;
    this.#startedAt = performance.now();
    log.info({ thread }, 'data path thread started');
    return started;
  }

  #lost(ended: DataPathThread, cause: Error): void {
    if (ended !== this.#thread) return;
    const { thread, log, onEvent } = this.#o;
    const sandboxes = this.#homes.size;
    this.#thread = null;
    this.#keepFigures();
    log.error({ err: cause, thread, sandboxes }, 'data path thread lost, its connections are closed');
    onEvent({ t: 'thread-lost', thread, sandboxes }, '');
    if (performance.now() - this.#startedAt > LIVED_MS) this.#backoff.reset();
    // One that ends while it opens the sockets of the last is the affair of the round that started it.
    this.#replacing ??= this.#replace(this.#draining.signal).finally(() => (this.#replacing = null));
  }

  /** Figures must not go down, which would read as a program that began anew. */
  #keepFigures(): void {
    const sum = new CallStats();
    for (const calls of [this.#look.calls, this.#before]) if (calls.length > 0) sum.absorb(calls);
    this.#before = sum.figures();
    this.#look = NOTHING;
  }

  async #replace(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await sleep(this.#backoff.next(), stop).catch(() => {});
      if (stop.aborted || this.#homes.size === 0) return;
      const { thread, log } = this.#o;
      try {
        const started = this.#started();
        const homes = [...this.#homes.values()].filter(({ open }) => open);
        await Promise.all(homes.map(home => this.#reopen(started, home)));
        if (started !== this.#thread) continue;
        log.warn({ thread, sandboxes: homes.length }, 'data path thread replaced');
        return;
      } catch (err) {
        log.error({ err, thread }, 'data path thread not started');
      }
    }
  }

  async #reopen(thread: DataPathThread, home: Home): Promise<void> {
    const { spec } = home;
    try {
      await thread.run({ t: 'open', spec });
      // Closed meanwhile.
      if (this.#homes.get(spec.sandbox) !== home) await thread.run({ t: 'close', sandbox: spec.sandbox });
    } catch (err) {
      if (isLost(err)) return;
      const { sandbox, pod } = spec;
      this.#o.log.error({ err, sandbox, pod }, 'socket of a sandbox not opened again');
    }
  }
}

const isLost = (error: unknown): boolean => codeOf(error) === 'ERR_PROXY_THREAD_LOST';

/** What a lost thread left behind. */
function unlinkQuietly(socket: string): void {
  try {
    unlinkSync(socket);
  } catch {
    // Gone already, or with its directory.
  }
}
