// SPDX-License-Identifier: Apache-2.0
// The control socket of one proxy as typed calls. The connection is kept: when it ends another one is made, and calls
// that were open go out again on it, which every call of the protocol allows. What is to be done about a proxy that is
// gone is the owner's to say.
import { abortable, abortReason, Backoff, codeOf, deadline, messageOf, sleep } from '@peerpod-tls/base';
import { proxyService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix, type TtrpcClient, type TypedClient } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import { AdaptorError } from '../errors.js';

export type ProxyCalls = TypedClient<typeof proxyService>;

export interface ProxyClientOptions {
  /** The control socket. */
  readonly socket: string;
  /**
   * First on each connection, before anybody else calls on it. One that rejects costs the connection, and with anything
   * but an error of the connection the first greeting was the last one.
   */
  readonly greet: (calls: ProxyCalls, signal: AbortSignal) => Promise<void>;
  /** Nobody listens on the socket. Whether it is worth trying again, which is after what this waits for. */
  readonly onGone: (signal: AbortSignal) => Promise<'again' | 'give-up'>;
  readonly log: Logger;
}

export interface CallPatience {
  readonly signal?: AbortSignal;
  /** How long a proxy may be away, and take to answer, in milliseconds. Default 15 000. */
  readonly ms?: number;
}

const PATIENCE_MS = 15_000;
const CONNECT_MS = 2000;

type State =
  | { readonly t: 'connecting' }
  | { readonly t: 'connected'; readonly client: TtrpcClient; readonly calls: ProxyCalls }
  | { readonly t: 'ended'; readonly reason: Error };

export class ProxyClient {
  readonly #o: ProxyClientOptions;
  readonly #stopping = new AbortController();
  readonly #backoff = new Backoff({ firstMs: 10, longestMs: 1000, factor: 3 });
  #state: State = { t: 'connecting' };
  /** Told of the next change of state. */
  readonly #waiting = new Set<() => void>();
  #keeping: Promise<void> | null = null;
  #wasConnected = false;

  constructor(o: ProxyClientOptions) {
    this.#o = o;
  }

  /** Resolves with the first connection that was greeted; rejects when there is none before `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    this.#keeping ??= this.#keep();
    await this.#connected(signal);
  }

  get connected(): boolean {
    return this.#state.t === 'connected';
  }

  /** Makes a call, again on the next connection where one ended under it. */
  async call<T>(
    make: (calls: ProxyCalls, o: { readonly signal: AbortSignal }) => Promise<T>,
    { signal, ms = PATIENCE_MS }: CallPatience = {},
  ): Promise<T> {
    using until = signal === undefined ? deadline(ms) : deadline(ms, signal);
    for (;;) {
      const { calls, client } = await this.#connected(until);
      try {
        return await make(calls, { signal: until });
      } catch (error) {
        if (signal?.aborted === true) throw abortReason(signal);
        if (until.aborted) throw this.#away(error);
        if (!isEnding(error)) throw error;
        // What the next round waits for is another connection, not this one.
        await abortable(client.closed, until);
        this.#forget(client);
      }
    }
  }

  async #connected(until: AbortSignal): Promise<Extract<State, { t: 'connected' }>> {
    for (;;) {
      const state = this.#state;
      if (state.t === 'connected') return state;
      if (state.t === 'ended') throw state.reason;
      try {
        await this.#nextState(until);
      } catch (error) {
        throw isTimeout(error) ? this.#away(error) : error;
      }
    }
  }

  async #keep(): Promise<void> {
    const { socket, greet, onGone, log } = this.#o;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let client: TtrpcClient | null = null;
      try {
        client = await connectUnix(socket, { signal, timeoutMs: CONNECT_MS });
        const calls = clientOf(proxyService, client);
        await greet(calls, signal);
        this.#wasConnected = true;
        this.#enter({ t: 'connected', client, calls });
        this.#backoff.reset();
        await abortable(client.closed, signal);
        this.#forget(client);
      } catch (error) {
        client?.close();
        if (signal.aborted) break;
        try {
          if (client === null && isNobody(error) && (await onGone(signal)) === 'give-up') {
            this.#end(this.#away(error));
            return;
          }
        } catch (gone) {
          this.#end(gone instanceof Error ? gone : this.#away(gone));
          return;
        }
        if (!this.#wasConnected && error instanceof Error && isRefusal(error)) {
          this.#end(error);
          return;
        }
        if (client !== null) log.warn({ err: error, socket }, 'proxy does not take its greeting');
        await sleep(this.#backoff.next(), signal).catch(() => {});
      }
    }
  }

  #enter(state: State): void {
    this.#state = state;
    for (const wake of this.#waiting) wake();
  }

  async #nextState(until: AbortSignal): Promise<void> {
    let wake = (): void => {};
    try {
      await abortable(
        new Promise<void>(resolve => {
          wake = resolve;
          this.#waiting.add(wake);
        }),
        until,
      );
    } finally {
      this.#waiting.delete(wake);
    }
  }

  #forget(client: TtrpcClient): void {
    if (this.#state.t === 'connected' && this.#state.client === client) this.#enter({ t: 'connecting' });
  }

  #end(reason: Error): void {
    this.#stopping.abort(reason);
    this.#enter({ t: 'ended', reason });
  }

  #away(cause: unknown): AdaptorError {
    return new AdaptorError('ERR_ADAPTOR_PROXY_AWAY', `no proxy answers on ${this.#o.socket}`, {
      hint: 'its log lies beside the socket, in proxy.log',
      cause,
    });
  }

  /** Ends the connection, and nothing of the proxy. */
  async close(): Promise<void> {
    const { client } = this.#state.t === 'connected' ? this.#state : { client: null };
    this.#end(new AdaptorError('ERR_ADAPTOR_PROXY_AWAY', 'the adaptor is shutting down'));
    client?.close();
    await this.#keeping;
  }
}

/** Whether a connection failed because there is no process behind the socket; one that is busy or stopped is there. */
function isNobody(error: unknown): boolean {
  return error instanceof Error && ['ENOENT', 'ECONNREFUSED'].includes(codeOf(error.cause));
}

/** The connection is gone, or the proxy is about to be. */
const isEnding = (error: unknown): boolean =>
  codeOf(error) === 'ERR_TTRPC_CLOSED' || messageOf(error) === 'ttrpc: server closed';

const isRefusal = (error: Error): boolean => !codeOf(error).startsWith('ERR_TTRPC_');

const isTimeout = (error: unknown): boolean => error instanceof DOMException && error.name === 'TimeoutError';
