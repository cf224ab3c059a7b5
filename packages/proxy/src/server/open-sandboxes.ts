// SPDX-License-Identifier: Apache-2.0
// The sandboxes a proxy has: opened and closed as often as it is told, one thing at a time for each, and written down.
// The data itself is the data plane's.
import { anySignal, KeyedMutex } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import type { SandboxView } from '../control/index.js';
import type { DataPlane } from '../data-plane.js';
import { sandboxClosed, takesNoSandbox } from '../errors.js';
import type { AgentAnswer, ProxySpec } from '../spec.js';
import type { ProxyStore } from './proxy-store.js';

export interface OpenSandboxesOptions {
  readonly plane: DataPlane;
  readonly store: ProxyStore;
  /** Why no new sandbox is taken; null while they are. */
  readonly leaving: () => 'retired' | 'stopping' | null;
  /** One was closed, or is not awaited any more. */
  readonly onFewer: () => void;
  readonly log: Logger;
}

export class OpenSandboxes {
  readonly #o: OpenSandboxesOptions;
  readonly #open = new Map<string, ProxySpec>();
  readonly #awaited = new Map<string, Set<AbortController>>();
  readonly #turns = new KeyedMutex();

  constructor(o: OpenSandboxesOptions) {
    this.#o = o;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Nothing is open, being opened or awaited. */
  get idle(): boolean {
    return this.#open.size === 0 && this.#awaited.size === 0;
  }

  /** @throws what the data plane met; ProxyError `ERR_PROXY_CLOSED` when it was closed meanwhile */
  async awaitAgent(spec: ProxySpec, deadlineMs: number, caller: AbortSignal): Promise<AgentAnswer> {
    const { sandbox } = spec;
    this.#refuseWhenLeaving(sandbox);
    const closing = new AbortController();
    const awaited = this.#awaited.get(sandbox) ?? new Set();
    this.#awaited.set(sandbox, awaited.add(closing));
    using signal = anySignal(closing.signal, caller);
    try {
      return await this.#o.plane.awaitAgent(spec, { deadlineMs, signal });
    } catch (error) {
      throw closing.signal.aborted ? sandboxClosed(sandbox) : error;
    } finally {
      awaited.delete(closing);
      if (awaited.size === 0) this.#awaited.delete(sandbox);
      this.#o.onFewer();
    }
  }

  /** Opens its socket; one that is open with this spec stays, with another spec it is closed first. */
  async open(spec: ProxySpec): Promise<void> {
    const { plane, store, log } = this.#o;
    const { sandbox } = spec;
    await this.#turns.run(sandbox, async () => {
      const before = this.#open.get(sandbox);
      if (before !== undefined && sameSpec(before, spec)) return;
      if (before === undefined) this.#refuseWhenLeaving(sandbox);
      else await plane.close(sandbox);
      this.#open.delete(sandbox);
      await plane.open(spec);
      this.#open.set(sandbox, spec);
      // One that cannot be written down works all the same; an adaptor tells it again to a proxy that was killed.
      await store.keepSandbox(spec).catch((err: unknown) => {
        log.error({ err, sandbox }, 'sandbox not written down, a proxy that is killed will not know it');
      });
    });
  }

  /** Closes its socket and its connections, and ends whoever waits for its agent. */
  async close(sandbox: string): Promise<void> {
    for (const awaited of this.#awaited.get(sandbox) ?? []) awaited.abort(sandboxClosed(sandbox));
    await this.#turns.run(sandbox, async () => {
      this.#o.store.forgetSandbox(sandbox);
      if (!this.#open.delete(sandbox)) return;
      await this.#o.plane.close(sandbox);
    });
    this.#o.onFewer();
  }

  /** Opens again what a proxy had that was killed. One that cannot be opened holds up no other. */
  async openAgain(specs: readonly ProxySpec[]): Promise<void> {
    await Promise.all(
      specs.map(async spec => {
        const { sandbox, pod } = spec;
        try {
          await this.#turns.run(sandbox, () => this.#o.plane.open(spec));
          this.#open.set(sandbox, spec);
        } catch (err) {
          this.#o.log.error({ err, sandbox, pod }, 'socket of a sandbox not opened again');
        }
      }),
    );
  }

  async views(): Promise<readonly SandboxView[]> {
    const views = await this.#o.plane.views();
    return views.flatMap(view => {
      const spec = this.#open.get(view.sandbox);
      return spec === undefined ? [] : [{ ...view, pod: spec.pod }];
    });
  }

  /** Closes everything now. What is written down stays. */
  async end(): Promise<void> {
    for (const awaited of this.#awaited.values())
      for (const one of awaited) one.abort(new Error('the proxy is stopping'));
    await this.#o.plane.drain(AbortSignal.abort(new Error('the proxy is stopping')));
  }

  #refuseWhenLeaving(sandbox: string): void {
    const why = this.#o.leaving();
    if (why !== null && !this.#open.has(sandbox)) throw takesNoSandbox(sandbox, why);
  }
}

/** Both were made by `specOf`, which names fields in one order. */
const sameSpec = (a: ProxySpec, b: ProxySpec): boolean => JSON.stringify(a) === JSON.stringify(b);
