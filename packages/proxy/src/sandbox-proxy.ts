// SPDX-License-Identifier: Apache-2.0
// The shim's end of one sandbox: its socket, and a relay with a link of its own for every connection. It opens only for
// a VM whose agent has answered, and never asks the VM for anything by itself.
import { listenUnixSocket, type UnixListener } from '@peerpod-tls/daemon';
import {
  dialLink,
  startRelay,
  type Rewrite,
  type LinkSecurity,
  type Relay,
  type RelayObserver,
} from '@peerpod-tls/link';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { codeOf } from '@peerpod-tls/base';
import { ProxyError } from './errors.js';
import { refusalRule } from './refusal-rule.js';

/** A shim's health check waits 30 s; a link that is replaced within this is one no pod notices. */
const REDIAL_BUDGET_MS = 20_000;

export interface ProxyOptions {
  readonly sandbox: string;
  readonly socket: string;
  readonly host: string;
  readonly port: number;
  readonly serverName: string;
  /** Null: the VM was made in another TLS mode than the adaptor is in, so nobody may be dialled in its place. */
  readonly security: LinkSecurity | null;
  readonly rewrites: readonly Rewrite[];
  readonly observer: RelayObserver;
  /** A link could not be made because one side refused the other. */
  readonly onRefused: (rule: string) => void;
  readonly redialBudgetMs?: number;
  readonly log: Logger;
}

export class SandboxProxy {
  readonly #o: ProxyOptions;
  readonly #listener: UnixListener;
  readonly #relays: Set<Relay>;

  private constructor(o: ProxyOptions, listener: UnixListener, relays: Set<Relay>) {
    this.#o = o;
    this.#listener = listener;
    this.#relays = relays;
  }

  static async open(o: ProxyOptions): Promise<SandboxProxy> {
    const relays = new Set<Relay>();
    const listener = await listenUnixSocket({
      path: o.socket,
      allowHalfOpen: true,
      onConnection: downstream => relays.add(relayOf(o, downstream, relays)),
      log: o.log,
    });
    return new SandboxProxy(o, listener, relays);
  }

  get socket(): string {
    return this.#o.socket;
  }

  /** Connections of shims being relayed. */
  get links(): number {
    return this.#relays.size;
  }

  /** Closes the socket, lets calls end that can, and then closes the rest; at once when the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.#listener.close();
    await Promise.all([...this.#relays].map(relay => relay.drain(signal)));
  }

  /** Closes the socket and every connection now. */
  async close(): Promise<void> {
    await this.#listener.close();
    const relays = [...this.#relays];
    for (const relay of relays) relay.close();
    await Promise.all(relays.map(relay => relay.closed));
  }
}

function relayOf(o: ProxyOptions, downstream: Socket, relays: Set<Relay>): Relay {
  let links = 0;
  const relay = startRelay({
    downstream,
    rewrites: o.rewrites,
    redial: { budgetMs: o.redialBudgetMs ?? REDIAL_BUDGET_MS },
    observer: o.observer,
    log: o.log,
    openUpstream: async signal => {
      if (o.security === null) throw otherMode(o.sandbox);
      try {
        const peer = await dialLink({
          host: o.host,
          port: o.port,
          security: o.security,
          serverName: o.serverName,
          signal,
          log: o.log,
        });
        links += 1;
        if (links > 1) o.log.info({ remote: peer.peer.remote }, 'link judged again');
        return peer;
      } catch (error) {
        const rule = refusalRule(error);
        if (rule !== null) o.onRefused(rule);
        throw error;
      }
    },
  });
  void relay.closed.then(reason => {
    relays.delete(relay);
    if (reason.why === 'downstream-closed' || reason.why === 'closed' || reason.why === 'drained') return;
    // The shim has lost its connection, so this is the line to look for when a pod went down.
    o.log.warn({ why: reason.why, err: reason.error, code: codeOf(reason.error) }, 'shim connection closed');
  });
  return relay;
}

/** Permanent, as links understand it: a redial cannot heal it. */
function otherMode(sandbox: string): ProxyError {
  const error = new ProxyError(
    'ERR_PROXY_TLS_MODE',
    `sandbox ${sandbox} was made in another TLS mode than this adaptor runs in`,
    { hint: 'start the adaptor with the TLS options it had, or stop the sandbox' },
  );
  return Object.assign(error, { permanent: true });
}
