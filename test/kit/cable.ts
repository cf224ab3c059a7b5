// SPDX-License-Identifier: Apache-2.0
// The network between adaptor and pod VM as a thing that can be pulled out: a TCP relay that is cut and mended.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Teardown } from './program.js';

export class Cable {
  readonly host: string;
  readonly #far: () => { readonly host: string; readonly port: number };
  readonly #pairs = new Set<Socket>();
  #server: Server | null = null;
  #port: number;
  /** Connections taken so far. */
  taken = 0;

  private constructor(host: string, port: number, far: () => { host: string; port: number }) {
    this.host = host;
    this.#port = port;
    this.#far = far;
  }

  /** Listens on `host:port` and connects each caller with what `far` names at that moment. */
  static async plug(
    t: Teardown,
    host: string,
    port: number,
    far: () => { host: string; port: number },
  ): Promise<Cable> {
    const cable = new Cable(host, port, far);
    await cable.mend();
    t.teardown(() => cable.cut());
    return cable;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that stand now. */
  get open(): number {
    return this.#pairs.size / 2;
  }

  async mend(): Promise<void> {
    if (this.#server !== null) return;
    const server = createServer({ allowHalfOpen: true }, near => this.#join(near));
    this.#server = server;
    server.listen(this.#port, this.host);
    await once(server, 'listening');
    const address = server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }

  #join(near: Socket): void {
    this.taken += 1;
    const far = connect({ ...this.#far(), allowHalfOpen: true });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#pairs.add(one);
      one.on('error', () => other.destroy());
      one.once('close', () => {
        this.#pairs.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }

  /** Resets every connection and refuses new ones, as a network that is gone. */
  async cut(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#pairs) socket.resetAndDestroy();
    await closed;
  }
}
