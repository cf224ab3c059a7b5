// SPDX-License-Identifier: Apache-2.0
// A network between two ends on this machine, which a test can cut, and take away.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export type Direction = 'up' | 'down';

export class Cutter {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #target: number;
  /** Bytes that still pass in a direction before everything is cut. */
  readonly #until: Record<Direction, number> = { up: Infinity, down: Infinity };
  #onCut: (() => void)[] = [];
  /** Called at each cut. */
  onCut: () => void = () => {};
  #holdsDown = false;
  #cutting: NodeJS.Timeout | null = null;
  /** Whether new connections are cut at once. */
  away = false;
  /** Connections that were taken, cut at once or not. */
  taken = 0;
  cuts = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, near => this.#take(near));
  }

  /** Listens on a port of its own and passes on to `target`. */
  static async open(t: Test, target: number): Promise<Cutter> {
    const cutter = new Cutter(target);
    cutter.#server.listen(0, '127.0.0.1');
    await once(cutter.#server, 'listening');
    t.teardown(async () => {
      const closed = once(cutter.#server, 'close');
      cutter.#server.close();
      cutter.cut();
      await closed;
    });
    return cutter;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('it does not listen');
    return address.port;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** Resets every connection there is. */
  cut(): void {
    if (this.#pairs.size > 0) this.cuts += 1;
    for (const { near, far } of this.#pairs) {
      reset(near);
      reset(far);
    }
    this.#pairs.clear();
    this.#holdsDown = false;
    if (this.#cutting !== null) clearTimeout(this.#cutting);
    this.#cutting = null;
    this.#until.up = this.#until.down = Infinity;
    this.onCut();
    for (const resolve of this.#onCut.splice(0)) resolve();
  }

  /** Cuts once so many bytes more have passed that way; resolves then. */
  cutAfter(direction: Direction, bytes: number): Promise<void> {
    this.#until[direction] = Math.ceil(bytes);
    return new Promise(resolve => void this.#onCut.push(resolve));
  }

  /** Swallows everything that comes down from now on, until the next cut. */
  holdDown(): void {
    this.#holdsDown = true;
  }

  /** Cuts, and lets nobody through for a while. */
  async takeAway(ms: number): Promise<void> {
    this.away = true;
    this.cut();
    await new Promise(resolve => setTimeout(resolve, ms));
    this.away = false;
  }

  #take(near: Socket): void {
    this.taken += 1;
    near.on('error', () => {});
    if (this.away) return reset(near);
    const far = connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    far.on('error', () => near.destroy());
    const pair = { near, far };
    this.#pairs.add(pair);
    this.#pass(pair, near, far, 'up');
    this.#pass(pair, far, near, 'down');
  }

  #pass(pair: Pair, from: Socket, to: Socket, direction: Direction): void {
    from.on('data', (chunk: Buffer) => {
      if (!this.#pairs.has(pair)) return;
      if (this.#holdsDown && direction === 'down') return;
      const left = this.#until[direction];
      const passed = chunk.subarray(0, Math.min(chunk.length, left));
      if (!to.write(passed)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
      this.#until[direction] -= passed.length;
      if (this.#until[direction] > 0 || this.#cutting !== null) return;
      // What was let through arrives before the reset.
      this.#cutting = setTimeout(() => this.cut(), 2);
    });
    from.on('end', () => to.end());
    from.on('close', () => {
      this.#pairs.delete(pair);
      to.destroy();
    });
  }
}

/** Node leaves the handle of a socket open that is reset while it shuts down. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
