// SPDX-License-Identifier: Apache-2.0
// The server: services, and the connections it was given. It does not listen; whoever accepts sockets hands them in.
import type { Duplex } from 'node:stream';
import { bindFallback, bindServices } from './bound-method.js';
import type { Fallback, Registry, SingleAnswer } from './bound-method.js';
import type { Log } from './log.js';
import { ServerConnection } from './server-connection.js';
import type { ServerLimits } from './server-connection.js';
import type { Implementation } from './service.js';

export interface TtrpcServerOptions {
  /** Made by `implement`. */
  readonly services: readonly Implementation[];
  /** Answers what no service has. Default: such calls are answered Unimplemented. */
  readonly fallback?: Fallback;
  readonly log?: Log | undefined;
  /**
   * Bytes one connection may make the server keep: requests of running calls, stream messages not yet read, answers
   * not yet sent. Beyond it the socket is not read until there is room. Default 64 MiB, sixteen of the longest
   * messages.
   */
  readonly byteBudget?: number;
  /** Calls running at once on one connection; more are answered ResourceExhausted. Default 4096. */
  readonly maxConcurrent?: number;
  /**
   * Milliseconds a full connection waits for a handler to read its stream before that stream is ended with
   * ResourceExhausted, so that the others go on. Default 5000.
   */
  readonly stallMs?: number;
}

export class TtrpcServer {
  readonly #registry: Registry;
  readonly #fallback: SingleAnswer | null;
  readonly #limits: ServerLimits;
  readonly #log: Log | undefined;
  readonly #connections = new Set<ServerConnection>();
  #draining: AbortSignal | null = null;

  /** @throws Error when a service is given twice */
  constructor(o: TtrpcServerOptions) {
    this.#registry = bindServices(o.services);
    this.#fallback = o.fallback === undefined ? null : bindFallback(o.fallback);
    this.#log = o.log;
    this.#limits = {
      byteBudget: o.byteBudget ?? 64 * 1024 * 1024,
      maxConcurrent: o.maxConcurrent ?? 4096,
      stallMs: o.stallMs ?? 5000,
    };
  }

  /** Connections being served. */
  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Serves a connected socket until it ends. The server owns the socket from here on, its errors included.
   * @param peer Anything; handlers find it in their context.
   */
  serve(socket: Duplex, peer?: unknown): ServerConnection {
    const connection = new ServerConnection(socket, {
      registry: this.#registry,
      fallback: this.#fallback,
      limits: this.#limits,
      peer,
      log: this.#log,
    });
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    if (this.#draining !== null) void connection.drain(this.#draining);
    return connection;
  }

  /**
   * Drains every connection, and those that are served from now on: new calls are refused, unary calls finish,
   * then streams end. Resolves when all are closed. When `signal` aborts, whatever is left is destroyed.
   */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = signal;
    await Promise.all([...this.#connections].map(connection => connection.drain(signal)));
  }

  /** Closes every connection at once. */
  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}
