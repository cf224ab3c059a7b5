// SPDX-License-Identifier: Apache-2.0
// The data plane inside the process that drives it: sockets by sandbox, the material they dial with, and their figures.
import { anySignal, codeOf } from '@peerpod-tls/base';
import { dialUntilHealthy, type LinkSecurity, type RelayObserver } from '@peerpod-tls/link';
import type { Logger } from 'pino';
import { CallStats } from './call-stats.js';
import type { DataPlane } from './data-plane.js';
import { materialNotHeld } from './errors.js';
import { refusalRule } from './refusal-rule.js';
import { SandboxProxy } from './sandbox-proxy.js';
import type { AgentAnswer, EventListener, ProxyEvent, ProxySpec, ProxyView, ThreadView } from './spec.js';

export interface InProcessOptions {
  /** What a spec's material stands for; null when this process does not hold it. Asked for each dial. */
  readonly security: (material: string) => LinkSecurity | null | Promise<LinkSecurity | null>;
  /** Number of the thread this is in, for views. Default 0, the one that drives. */
  readonly thread?: number;
  readonly onEvent: EventListener;
  readonly log: Logger;
}

export class InProcessDataPlane implements DataPlane {
  readonly #o: InProcessOptions;
  readonly #calls = new CallStats();
  readonly #proxies = new Map<string, SandboxProxy>();

  constructor(o: InProcessOptions) {
    this.#o = o;
  }

  async awaitAgent(
    spec: ProxySpec,
    o: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<AgentAnswer> {
    const security = await this.#o.security(spec.tls.material);
    if (security === null) throw materialNotHeld(spec.sandbox);
    // Disposed of at the end: the signal of a start may outlive it by the life of its caller.
    using signal = anySignal(o.signal);
    try {
      const healthy = await dialUntilHealthy({
        host: spec.addresses[0] ?? '',
        port: spec.port,
        security,
        serverName: spec.tls.serverName,
        signal,
        deadlineMs: o.deadlineMs,
        log: this.#logOf(spec),
        // What is held elsewhere is asked for again, so that the next try dials with what is in force by then.
        onAttempt: () => void Promise.resolve(this.#o.security(spec.tls.material)).catch(() => {}),
      });
      const { remote, tls } = healthy.peer;
      if (tls !== null) this.#o.onEvent({ t: 'handshake', ms: tls.handshakeMs }, spec.sandbox);
      return {
        attempts: healthy.attempts,
        ms: Math.round(healthy.ms),
        lastTryMs: Math.round(healthy.lastTryMs),
        remote,
        protocol: tls?.protocol ?? 'plain',
        cipher: tls?.cipher ?? 'none',
        subject: tls?.subject ?? '',
        names: tls?.names ?? [],
        fingerprint: tls?.fingerprint ?? '',
        handshakeMs: tls?.handshakeMs ?? 0,
      };
    } catch (error) {
      const rule = refusalRule(error);
      if (rule !== null && !o.signal.aborted) this.#o.onEvent({ t: 'refused', rule }, spec.sandbox);
      throw error;
    }
  }

  async open(spec: ProxySpec): Promise<void> {
    if (this.#proxies.has(spec.sandbox))
      throw new Error(`internal error: the socket of sandbox ${spec.sandbox} is open already`);
    const proxy = await SandboxProxy.open({
      spec,
      security: () => this.#o.security(spec.tls.material),
      thread: this.#o.thread ?? 0,
      observer: this.#observerOf(spec.sandbox),
      onEvent: this.#o.onEvent,
      log: this.#logOf(spec),
    });
    this.#proxies.set(spec.sandbox, proxy);
  }

  async close(sandbox: string): Promise<void> {
    const proxy = this.#proxies.get(sandbox);
    this.#proxies.delete(sandbox);
    await proxy?.close();
  }

  async drain(signal: AbortSignal): Promise<void> {
    const proxies = [...this.#proxies.values()];
    this.#proxies.clear();
    const done = await Promise.allSettled(proxies.map(proxy => proxy.drain(signal)));
    for (const { status, ...rest } of done) {
      if (status === 'rejected' && 'reason' in rest)
        this.#o.log.warn({ err: rest.reason, code: codeOf(rest.reason) }, 'sandbox socket not drained');
    }
  }

  async views(): Promise<readonly ProxyView[]> {
    return [...this.#proxies.values()].map(proxy => proxy.view());
  }

  async threads(): Promise<readonly ThreadView[]> {
    const views = await this.views();
    return [
      {
        thread: this.#o.thread ?? 0,
        sandboxes: views.length,
        connections: views.reduce((sum, { connections }) => sum + connections, 0),
        busySeconds: performance.eventLoopUtilization().active / 1000,
      },
    ];
  }

  async figures(): Promise<string> {
    return this.#calls.text();
  }

  /** What `figures` is the text of. */
  callFigures(): readonly number[] {
    return this.#calls.figures();
  }

  #observerOf(sandbox: string): RelayObserver {
    const tell = (event: ProxyEvent): void => this.#o.onEvent(event, sandbox);
    return {
      counter: (service, method) => this.#calls.counter(service, method),
      bytes: (direction, count) => this.#calls.bytes(direction, count),
      upstreamLost: cause => tell({ t: 'lost', cause }),
      notRedialled: cause => tell({ t: 'not-redialled', cause }),
      redialled: (ms, replayed, unavailable) => tell({ t: 'redialled', ms, replayed, unavailable }),
      protocolError: () => tell({ t: 'protocol-error' }),
    };
  }

  #logOf(spec: ProxySpec): Logger {
    return this.#o.log.child({ sandbox: spec.sandbox, pod: spec.pod });
  }
}
