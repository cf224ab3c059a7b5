// SPDX-License-Identifier: Apache-2.0
// The socket shims ask for VMs on, with an adaptor behind it or without. Who connects gets a connection to the adaptor of
// its own. What becomes of a call is in calls.ts.
import { listenAside, type UnixListener } from '@peerpod-tls/daemon';
import { TtrpcServer } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import { AdaptorConnection } from './adaptor-connection.js';
import type { AdaptorPresence } from './adaptor-presence.js';
import type { HypervisorCalls } from './calls.js';

export interface HypervisorFrontOptions {
  /** Taken from whoever listens there. */
  readonly socket: string;
  readonly adaptorSocket: string;
  readonly presence: AdaptorPresence;
  readonly calls: HypervisorCalls;
  /** A call was answered. */
  readonly onAnswered: () => void;
  readonly log: Logger;
}

export class HypervisorFront {
  readonly #o: HypervisorFrontOptions;
  readonly #server: TtrpcServer;
  #listener: UnixListener | null = null;
  #open = 0;

  constructor(o: HypervisorFrontOptions) {
    this.#o = o;
    this.#server = new TtrpcServer({
      services: [],
      fallback: async (payload, context) => {
        const { peer } = context;
        if (!(peer instanceof AdaptorConnection))
          throw new Error('internal error: a caller without a connection');
        this.#open += 1;
        try {
          return await o.calls.answer(payload, context, peer);
        } finally {
          this.#open -= 1;
          o.onAnswered();
        }
      },
      log: o.log,
    });
  }

  /** @throws DaemonError when the socket cannot be had */
  async listen(): Promise<void> {
    const { socket, adaptorSocket, presence, log } = this.#o;
    this.#listener = await listenAside({
      path: socket,
      onConnection: connection => {
        const adaptor = new AdaptorConnection(adaptorSocket, presence);
        void this.#server.serve(connection, adaptor).closed.then(() => adaptor.close());
      },
      log,
    });
  }

  /** The path it listens on; empty when it gave it up. */
  get socket(): string {
    return this.#listener?.path ?? '';
  }

  /** Calls that are not answered yet. */
  get openCalls(): number {
    return this.#open;
  }

  /** Takes no more connections; those that are there go on. */
  async giveUp(): Promise<void> {
    const listener = this.#listener;
    this.#listener = null;
    await listener?.close();
  }

  /** Lets calls be answered until the signal aborts, and closes. */
  async close(signal: AbortSignal): Promise<void> {
    await this.giveUp();
    await this.#server.drain(signal);
  }
}
