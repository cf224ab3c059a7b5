// SPDX-License-Identifier: Apache-2.0
// The shim's end of one sandbox: its socket, and a relay with a link of its own for every connection. It opens only for
// a VM whose agent has answered, and never asks the VM for anything by itself.
import { codeOf } from '@peerpod-tls/base';
import { listenUnixSocket, type UnixListener } from '@peerpod-tls/daemon';
import {
  beginSession,
  dialLink,
  startRelay,
  type CloseReason,
  type LinkSecurity,
  type Relay,
  type RelayObserver,
  type Rewrite,
} from '@peerpod-tls/link';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { materialNotHeld } from './errors.js';
import { refusalRule } from './refusal-rule.js';
import { adaptorRewrites } from './rewrites.js';
import type { EventListener, ProxySpec, ProxyView } from './spec.js';

/** Ends of a relay that nobody has to hear of: the shim left, or the agent ended because it was told to. */
const EXPECTED: ReadonlySet<CloseReason['why']> = new Set([
  'downstream-closed',
  'closed',
  'drained',
  'stopped',
]);

export interface SandboxProxyOptions {
  readonly spec: ProxySpec;
  /** Null: the VM was made in another TLS mode than the adaptor is in, so nobody may be dialled in its place. */
  readonly security: () => LinkSecurity | null | Promise<LinkSecurity | null>;
  /** Goes into the view. */
  readonly thread: number;
  readonly observer: RelayObserver;
  readonly onEvent: EventListener;
  readonly log: Logger;
}

export class SandboxProxy {
  readonly #o: SandboxProxyOptions;
  readonly #openedAt = new Date().toISOString();
  readonly #relays = new Set<Relay>();
  /** The same for all connections. */
  readonly #rewrites: readonly Rewrite[];
  /** One for all connections: whichever of them told the agent to end, the others lose it too. */
  readonly #agentEnd = { near: false };
  #listener: UnixListener | null = null;
  #lastClosedAt: string | null = null;

  private constructor(o: SandboxProxyOptions) {
    this.#o = o;
    this.#rewrites = adaptorRewrites(o.spec.rewrites);
  }

  static async open(o: SandboxProxyOptions): Promise<SandboxProxy> {
    const proxy = new SandboxProxy(o);
    proxy.#listener = await listenUnixSocket({
      path: o.spec.socket,
      allowHalfOpen: true,
      onConnection: downstream => proxy.#relay(downstream),
      log: o.log,
    });
    return proxy;
  }

  view(): ProxyView {
    return {
      sandbox: this.#o.spec.sandbox,
      thread: this.#o.thread,
      connections: this.#relays.size,
      openedAt: this.#openedAt,
      lastClosedAt: this.#lastClosedAt,
    };
  }

  /** Closes the socket, lets calls end that can, and then closes the rest; at once when the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.#listener?.close();
    await Promise.all([...this.#relays].map(relay => relay.drain(signal)));
  }

  /** Closes the socket and every connection now. */
  async close(): Promise<void> {
    await this.#listener?.close();
    const relays = [...this.#relays];
    for (const relay of relays) relay.close();
    await Promise.all(relays.map(relay => relay.closed));
  }

  #relay(downstream: Socket): void {
    const { spec, observer, onEvent, log } = this.#o;
    let links = 0;
    const relay = startRelay({
      downstream,
      rewrites: this.#rewrites,
      redial: { budgetMs: spec.limits.redialBudgetMs },
      agentEnd: this.#agentEnd,
      observer,
      log,
      openUpstream: async signal => {
        const peer = await this.#dial(signal);
        links += 1;
        if (links > 1) log.info({ remote: peer.peer.remote }, 'link verified again');
        if (peer.peer.tls?.session !== true) return peer;
        return beginSession({
          peer,
          redial: again => this.#dial(again),
          onResumed: (cause, ms) => onEvent({ t: 'resumed', cause, ms }, spec.sandbox),
          log,
        });
      },
    });
    this.#relays.add(relay);
    log.debug({ connections: this.#relays.size }, 'shim connected');
    onEvent({ t: 'connected' }, spec.sandbox);
    void relay.closed.then(reason => {
      this.#relays.delete(relay);
      this.#lastClosedAt = new Date().toISOString();
      onEvent({ t: 'disconnected' }, spec.sandbox);
      log.debug({ connections: this.#relays.size, why: reason.why }, 'shim disconnected');
      if (EXPECTED.has(reason.why)) return;
      // The shim has lost its connection, so this is the line to look for when a pod went down.
      log.warn({ why: reason.why, err: reason.error, code: codeOf(reason.error) }, 'shim connection closed');
    });
  }

  async #dial(signal: AbortSignal): ReturnType<typeof dialLink> {
    const { spec, onEvent, log } = this.#o;
    const security = await this.#o.security();
    if (security === null) throw materialNotHeld(spec.sandbox);
    try {
      const peer = await dialLink({
        host: spec.addresses[0] ?? '',
        port: spec.port,
        security,
        serverName: spec.tls.serverName,
        signal,
        session: true,
        log,
      });
      if (peer.peer.tls !== null) onEvent({ t: 'handshake', ms: peer.peer.tls.handshakeMs }, spec.sandbox);
      return peer;
    } catch (error) {
      const rule = refusalRule(error);
      if (rule !== null) onEvent({ t: 'refused', rule }, spec.sandbox);
      throw error;
    }
  }
}
