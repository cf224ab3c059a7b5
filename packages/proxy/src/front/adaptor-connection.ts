// SPDX-License-Identifier: Apache-2.0
// One caller's connection to the adaptor: made when there is something to call, made anew when it ended or another
// adaptor came, closed with the caller's. An adaptor tells callers apart by their connections.
import { connectUnix, type TtrpcClient } from '@peerpod-tls/ttrpc';
import type { AdaptorPresence } from './adaptor-presence.js';

const CONNECT_MS = 2000;

export class AdaptorConnection {
  readonly #socket: string;
  readonly #presence: AdaptorPresence;
  readonly #closing = new AbortController();
  /** All that are open: what an earlier adaptor still works on ends with it, or with the caller. */
  readonly #open = new Set<TtrpcClient>();
  #latest: { readonly adaptor: object | null; readonly client: Promise<TtrpcClient> } | null = null;

  constructor(socket: string, presence: AdaptorPresence) {
    this.#socket = socket;
    this.#presence = presence;
  }

  /** @throws TtrpcError `ERR_TTRPC_CONNECT` when nobody answers; StatusError when nobody did in time, or this was closed */
  client(): Promise<TtrpcClient> {
    const adaptor = this.#presence.serving;
    if (this.#latest?.adaptor === adaptor) return this.#latest.client;
    for (const client of this.#open) if (client.openCalls === 0) client.close();
    const latest = { adaptor, client: this.#connect() };
    this.#latest = latest;
    const forget = (): void => {
      if (this.#latest === latest) this.#latest = null;
    };
    latest.client.then(
      client => void client.closed.then(forget),
      () => forget(),
    );
    return latest.client;
  }

  async #connect(): Promise<TtrpcClient> {
    const { signal } = this.#closing;
    const client = await connectUnix(this.#socket, { signal, timeoutMs: CONNECT_MS });
    if (signal.aborted) client.close();
    this.#open.add(client);
    void client.closed.then(() => this.#open.delete(client));
    return client;
  }

  close(): void {
    this.#closing.abort(new Error('the caller has closed its connection'));
    for (const client of this.#open) client.close();
  }
}
