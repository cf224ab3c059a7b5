// SPDX-License-Identifier: Apache-2.0
// One proxy as the adaptor drives it: greeted and told its material on each connection, asked for what happened, and
// known by the sandboxes it has. Which proxy gets which sandbox is decided in generations.ts.
import { abortReason, codeOf, reasonOf, sleep } from '@peerpod-tls/base';
import { VERSION } from '@peerpod-tls/daemon';
import {
  agentOf,
  checkApi,
  CONTROL_API,
  errorOfFailure,
  sandboxViewOf,
  specMessage,
  threadViewOf,
  watchedEventOf,
  type AgentAnswer,
  type ProxyEvent,
  type ProxySpec,
  type SandboxView,
  type ThreadView,
} from '@peerpod-tls/proxy/control';
import type { CallOptions } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import type { MaterialInForce } from './material-in-force.js';
import { sumFigures } from './sum-figures.js';
import { ProxyClient, type ProxyCalls, type ProxyClientOptions } from './proxy-client.js';

/** How long a proxy keeps a question for events open, in milliseconds. */
const WATCH_MS = 20_000;
/** How long a proxy may take for each step of its greeting, in milliseconds. */
const GREET_MS = 10_000;
/** What a call takes beyond the time it was given, in milliseconds. */
const SLACK_MS = 15_000;
/** How long somebody who reads figures waits, in milliseconds. */
const LOOK_MS = 4000;

/** What a proxy says of itself. */
export interface ProxyFacts {
  readonly generation: string;
  readonly version: string;
  readonly pid: number;
  /** The socket shims ask for VMs on; empty once it was given up. */
  readonly socket: string;
  /** Where it wants to be served. */
  readonly adaptorSocket: string;
  readonly retired: boolean;
}

export interface DrivenProxyOptions {
  readonly controlSocket: string;
  readonly material: MaterialInForce;
  readonly onEvent: (event: ProxyEvent) => void;
  readonly onGone: ProxyClientOptions['onGone'];
  /** After each greeting, with the sandboxes it had before and those it has now. */
  readonly onGreeted: (before: ReadonlySet<string>) => void;
  readonly log: Logger;
}

interface Look {
  readonly sandboxes: readonly SandboxView[];
  readonly threads: readonly ThreadView[];
}

export class DrivenProxy {
  readonly #o: DrivenProxyOptions;
  readonly #client: ProxyClient;
  readonly #closing = new AbortController();
  #facts: ProxyFacts | null = null;
  #held = new Set<string>();
  /** Sandboxes that are being opened, or whose agent is awaited. */
  readonly #expected = new Map<string, number>();
  #serves = false;
  #look: Look = { sandboxes: [], threads: [] };
  #figures = '';
  /** Of processes of this proxy that have ended: a sum must not go down. */
  #figuresBefore = '';
  #watching: Promise<void> | null = null;

  constructor(o: DrivenProxyOptions) {
    this.#o = o;
    this.#client = new ProxyClient({
      socket: o.controlSocket,
      greet: calls => this.#greet(calls),
      onGone: o.onGone,
      log: o.log,
    });
  }

  /** Resolves when it was greeted. @throws what stands against it; the signal's reason */
  async start(signal: AbortSignal): Promise<void> {
    await this.#client.start(signal);
  }

  /** Asks it for what happens, from now on. One adaptor at a time: what it has told once it tells nobody again. */
  watch(): void {
    this.#watching ??= this.#watch();
  }

  get facts(): ProxyFacts {
    if (this.#facts === null) throw new Error('internal error: facts of a proxy that was not greeted');
    return this.#facts;
  }

  /** Sandboxes whose sockets it has. */
  get held(): ReadonlySet<string> {
    return this.#held;
  }

  /** What was last read of its figures. */
  get lastFigures(): string {
    return sumFigures([this.#figures, this.#figuresBefore]);
  }

  /** Tells it that its adaptor socket is served, now and on each connection from now on. */
  async serve(): Promise<void> {
    this.#serves = true;
    await this.#client.call(calls => hello(calls, true));
  }

  async renewMaterial(): Promise<void> {
    await this.#client.call((calls, o) => this.#setMaterial(calls, o));
  }

  async awaitAgent(
    spec: ProxySpec,
    { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<AgentAnswer> {
    signal.throwIfAborted();
    const end = performance.now() + deadlineMs;
    const cancel = (): void => {
      // An open one would lose its connections: there the question alone is dropped.
      if (!this.#held.has(spec.sandbox)) this.close(spec.sandbox).catch(() => {});
    };
    this.#expect(spec.sandbox, 1);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const answer = await this.#client.call(
        (calls, o) =>
          calls.AwaitAgent(
            { spec: specMessage(spec), deadlineMs: Math.max(1, Math.round(end - performance.now())) },
            o,
          ),
        { signal, ms: deadlineMs + SLACK_MS },
      );
      const { agent, failure } = answer;
      if (failure) throw errorOfFailure(failure);
      return agentOf(agent ?? {});
    } catch (error) {
      throw signal.aborted ? abortReason(signal) : error;
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#expect(spec.sandbox, -1);
    }
  }

  async open(spec: ProxySpec): Promise<void> {
    this.#expect(spec.sandbox, 1);
    try {
      const { failure } = await this.#client.call((calls, o) => calls.Open({ spec: specMessage(spec) }, o));
      if (failure) throw errorOfFailure(failure);
      this.#held.add(spec.sandbox);
    } finally {
      this.#expect(spec.sandbox, -1);
    }
  }

  async close(sandbox: string): Promise<void> {
    this.#held.delete(sandbox);
    await this.#client.call((calls, o) => calls.Close({ sandbox }, o));
  }

  /** Whether somebody is about to have this sandbox opened here. */
  expects(sandbox: string): boolean {
    return this.#expected.has(sandbox);
  }

  /** What it has; what it had when it does not answer in time. */
  async look(): Promise<Look> {
    try {
      const { sandboxes, threads } = await this.#client.call((calls, o) => calls.List({}, o), {
        ms: LOOK_MS,
      });
      this.#look = { sandboxes: sandboxes.map(sandboxViewOf), threads: threads.map(threadViewOf) };
    } catch (err) {
      this.#o.log.debug({ err }, 'proxy does not say what it has');
    }
    return this.#look;
  }

  async figures(): Promise<string> {
    try {
      const { text } = await this.#client.call((calls, o) => calls.Statistics({}, o), { ms: LOOK_MS });
      this.#figures = text;
    } catch (err) {
      this.#o.log.debug({ err }, 'proxy does not tell its figures');
    }
    return this.lastFigures;
  }

  /** Takes no new sandbox from now on, and ends with its last one. */
  async retire(): Promise<void> {
    await this.#client.call((calls, o) => calls.Retire({}, o));
  }

  async #greet(calls: ProxyCalls): Promise<void> {
    const known = this.#facts;
    this.#facts = await hello(calls, false);
    if (known !== null && known.pid !== this.#facts.pid) {
      this.#figuresBefore = this.lastFigures;
      this.#figures = '';
    }
    const o = { timeoutMs: GREET_MS };
    await this.#setMaterial(calls, o);
    const { sandboxes } = await calls.List({}, o);
    const before = this.#held;
    this.#held = new Set(sandboxes.map(({ sandbox }) => sandbox ?? ''));
    if (this.#serves) await hello(calls, true);
    this.#o.onGreeted(before);
  }

  /** @throws what the proxy has against it; it goes on with what it had */
  async #setMaterial(calls: ProxyCalls, o: CallOptions): Promise<void> {
    const { failure } = await calls.SetMaterial({ material: this.#o.material.message() }, o);
    if (failure) throw errorOfFailure(failure);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    let after = 0;
    let process = '';
    while (!signal.aborted) {
      try {
        const answer = await this.#client.call(
          (calls, o) => calls.Watch({ after, process, waitMs: WATCH_MS }, o),
          { signal, ms: WATCH_MS + SLACK_MS },
        );
        ({ process } = answer);
        after = answer.events.at(-1)?.number ?? after;
        for (const message of answer.events) {
          const watched = watchedEventOf(message);
          if (watched !== null) this.#o.onEvent(watched.event);
        }
        if (answer.missed > 0) this.#o.log.warn({ missed: answer.missed }, 'events of the proxy missed');
      } catch (error) {
        if (signal.aborted) return;
        this.#o.log.debug({ reason: reasonOf(error), code: codeOf(error) }, 'proxy not watched');
        await sleep(1000, signal).catch(() => {});
      }
    }
  }

  #expect(sandbox: string, more: 1 | -1): void {
    const count = (this.#expected.get(sandbox) ?? 0) + more;
    if (count === 0) this.#expected.delete(sandbox);
    else this.#expected.set(sandbox, count);
  }

  /** Lets go of it; it goes on. */
  async disconnect(): Promise<void> {
    this.#closing.abort(new Error('the adaptor is shutting down'));
    await this.#client.close();
    await this.#watching;
  }
}

async function hello(calls: ProxyCalls, serves: boolean): Promise<ProxyFacts> {
  const answer = await calls.Hello(
    { api: CONTROL_API, program: 'cloud-api-adaptor', version: VERSION, serves },
    { timeoutMs: GREET_MS },
  );
  const { generation, version, pid, socket, adaptorSocket, retired } = answer;
  checkApi(answer.api, `the proxy ${version}`);
  return { generation, version, pid, socket, adaptorSocket, retired };
}
