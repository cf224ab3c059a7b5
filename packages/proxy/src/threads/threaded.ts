// SPDX-License-Identifier: Apache-2.0
// A data plane over several threads: which sandbox is on which, what becomes of those whose thread ended, and their
// figures as one. No byte of a sandbox passes through the thread this runs in.
import { deadline } from '@peerpod-tls/base';
import type { LinkSecurity } from '@peerpod-tls/link';
import type { Logger } from 'pino';
import type { ResourceLimits } from 'node:worker_threads';
import { CallStats } from '../call-stats.js';
import type { DataPlane } from '../data-plane.js';
import type { AgentAnswer, EventListener, ProxySpec, ProxyView, ThreadView } from '../spec.js';
import { SecurityVersions } from './held-security.js';
import { ThreadSlot } from './thread-slot.js';

/** How long a thread may take to say how it is. */
const LOOK_MS = 2000;

export interface ThreadedOptions {
  /** Threads at most; each is started when the first sandbox comes to it. */
  readonly threads: number;
  /** What a spec's material stands for; null when this process does not hold it. Asked for each dial. */
  readonly security: (material: string) => LinkSecurity | null;
  readonly onEvent: EventListener;
  readonly log: Logger;
  /** Of each thread. Default Node's. */
  readonly limits?: ResourceLimits;
}

export class ThreadedDataPlane implements DataPlane {
  readonly #slots: readonly ThreadSlot[];
  /** Where each sandbox is, for as long as it is open. */
  readonly #homes = new Map<string, ThreadSlot>();

  constructor(o: ThreadedOptions) {
    const versions = new SecurityVersions();
    this.#slots = Array.from(
      { length: o.threads },
      (_, at) => new ThreadSlot({ ...o, thread: at + 1, versions }),
    );
  }

  async awaitAgent(
    spec: ProxySpec,
    o: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<AgentAnswer> {
    const slot = this.#homes.get(spec.sandbox) ?? this.#leastLoaded();
    return slot.awaitAgent(spec, o);
  }

  async open(spec: ProxySpec): Promise<void> {
    if (this.#homes.has(spec.sandbox))
      throw new Error(`internal error: the socket of sandbox ${spec.sandbox} is open already`);
    const slot = this.#leastLoaded();
    this.#homes.set(spec.sandbox, slot);
    try {
      await slot.open(spec);
    } catch (error) {
      this.#homes.delete(spec.sandbox);
      throw error;
    }
  }

  async close(sandbox: string): Promise<void> {
    const slot = this.#homes.get(sandbox);
    this.#homes.delete(sandbox);
    await slot?.close(sandbox);
  }

  async drain(signal: AbortSignal): Promise<void> {
    this.#homes.clear();
    await Promise.all(this.#slots.map(slot => slot.drain(signal)));
  }

  async views(): Promise<readonly ProxyView[]> {
    await this.#look();
    return this.#slots.flatMap(({ look }) => look.views);
  }

  async threads(): Promise<readonly ThreadView[]> {
    await this.#look();
    return this.#slots.flatMap(slot => slot.view() ?? []);
  }

  async figures(): Promise<string> {
    await this.#look();
    const sum = new CallStats();
    for (const { look, before } of this.#slots) {
      for (const calls of [look.calls, before]) if (calls.length > 0) sum.absorb(calls);
    }
    return sum.text();
  }

  /** The first of those with the fewest sandboxes; one that is being replaced only where there is no other. */
  #leastLoaded(): ThreadSlot {
    const load = (slot: ThreadSlot): number => slot.load + (slot.down ? 1e6 : 0);
    const [first, ...others] = this.#slots;
    if (first === undefined) throw new Error('internal error: a data plane of no threads');
    return others.reduce((least, slot) => (load(slot) < load(least) ? slot : least), first);
  }

  /** A thread that does not answer in time keeps what it said before: metrics must not wait for it. */
  async #look(): Promise<void> {
    using within = deadline(LOOK_MS);
    await Promise.all(this.#slots.map(slot => slot.takeLook(within)));
  }
}
