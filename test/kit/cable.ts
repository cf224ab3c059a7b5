// SPDX-License-Identifier: Apache-2.0
// The network between adaptor and pod VM as a thing that can be pulled out: a TCP relay that is cut, held and mended, or
// cut at an exact byte. How one connection passes through it is joint.ts.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Joint, type CutBy, type Direction } from './joint.js';
import type { Teardown } from './program.js';

/** Where and how a cable is to be cut once. */
export interface CutPlan {
  readonly direction: Direction;
  /** After so many more bytes in this direction. */
  readonly after: number;
  readonly by: CutBy;
}

/** A cut that waits for its byte. */
export interface PlannedCut {
  /** Whether it has happened. */
  readonly done: boolean;
  /** Takes it back if it has not happened. */
  cancel(): void;
}

export class Cable {
  readonly host: string;
  readonly #far: () => { readonly host: string; readonly port: number };
  readonly #joints = new Set<Joint>();
  /** Callers who came while everything was held. */
  readonly #waiting = new Set<Socket>();
  readonly #passed = { up: 0, down: 0 };
  readonly #plans = new Set<CutPlan & { left: number }>();
  #server: Server | null = null;
  #port: number;
  #held = false;
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
    return this.#joints.size;
  }

  /** Bytes that were passed on so far, of all connections. */
  get passed(): Readonly<Record<Direction, number>> {
    return { ...this.#passed };
  }

  async mend(): Promise<void> {
    if (this.#server !== null) return;
    const server = createServer({ allowHalfOpen: true }, near => this.#take(near));
    this.#server = server;
    server.listen(this.#port, this.host);
    await once(server, 'listening');
    const address = server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }

  #take(near: Socket): void {
    this.taken += 1;
    if (!this.#held) return this.#join(near);
    near.on('error', () => {});
    this.#waiting.add(near.pause());
    near.once('close', () => this.#waiting.delete(near));
  }

  #join(near: Socket): void {
    const joint = new Joint({
      near,
      far: connect({ ...this.#far(), allowHalfOpen: true }),
      allow: (direction, length) => this.#allow(direction, length),
      onClose: () => this.#joints.delete(joint),
    });
    this.#joints.add(joint);
    near.resume();
  }

  /** Also counts what passes. Of several plans the first that is due is carried out. */
  #allow(direction: Direction, length: number): { readonly bytes: number; readonly by: CutBy } | null {
    const due = [...this.#plans].find(plan => plan.direction === direction && plan.left <= length);
    const bytes = due?.left ?? length;
    for (const plan of this.#plans) if (plan.direction === direction) plan.left -= bytes;
    this.#passed[direction] += bytes;
    if (due === undefined) return null;
    this.#plans.delete(due);
    return { bytes, by: due.by };
  }

  /** Cuts the connection that carries the byte, right behind it, or with 0 in front of the next; others stay. */
  cutAfter(plan: CutPlan): PlannedCut {
    const plans = this.#plans;
    const planned = { ...plan, left: plan.after };
    plans.add(planned);
    return {
      get done() {
        return !plans.has(planned);
      },
      cancel: () => void plans.delete(planned),
    };
  }

  /** Passes nothing on in any connection and lets new ones wait, until `release`. Nobody is told. */
  hold(): void {
    this.#held = true;
    for (const joint of this.#joints) joint.hold();
  }

  release(): void {
    this.#held = false;
    for (const joint of this.#joints) joint.release();
    for (const near of this.#waiting) this.#join(near);
    this.#waiting.clear();
  }

  /** Resets every connection and takes new ones, as before. */
  reset(): void {
    for (const joint of this.#joints) joint.reset();
    for (const near of this.#waiting) near.resetAndDestroy();
  }

  /** Resets every connection and refuses new ones, as a network that is gone. */
  async cut(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = once(server, 'close');
    server.close();
    this.reset();
    await closed;
  }
}
