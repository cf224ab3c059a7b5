// SPDX-License-Identifier: Apache-2.0
// One connection through a cable: two sockets whose bytes are passed on by hand, so that it can be cut at an exact byte.
// Which byte, and when cables are out altogether, is cable.ts.
import type { Socket } from 'node:net';

/** `up` is from the adaptor to the VM. */
export type Direction = 'up' | 'down';

/** `silence`: nothing more is passed on, and a while later both ends are reset. */
export type CutBy = 'end' | 'reset' | 'silence';

/** How long a joint is silent until it is reset, and how long an end may take to answer the end of the other. */
const SILENCE_MS = 100;
const LEAVE_MS = 1000;

export interface JointOptions {
  readonly near: Socket;
  readonly far: Socket;
  /** How many of `length` bytes may pass before a cut; null: all of them, and no cut. */
  readonly allow: (
    direction: Direction,
    length: number,
  ) => { readonly bytes: number; readonly by: CutBy } | null;
  readonly onClose: () => void;
}

export class Joint {
  readonly #o: JointOptions;
  readonly #sockets: readonly [Socket, Socket];
  #timer: NodeJS.Timeout | undefined;
  #held = false;
  #cut = false;
  #open = 2;

  constructor(o: JointOptions) {
    this.#o = o;
    this.#sockets = [o.near, o.far];
    this.#pass('up', o.near, o.far);
    this.#pass('down', o.far, o.near);
  }

  #pass(direction: Direction, from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      if (this.#cut) return;
      const cut = this.#o.allow(direction, chunk.length);
      if (cut === null) {
        if (!to.write(chunk)) from.pause();
        return;
      }
      this.#cut = true;
      // What may pass has to be in the other kernel's hands before a reset throws away what is not.
      if (cut.bytes === 0) this.#end(cut.by);
      else to.write(chunk.subarray(0, cut.bytes), () => setImmediate(() => this.#end(cut.by)));
    });
    to.on('drain', () => {
      if (!this.#held) from.resume();
    });
    from.once('end', () => to.end());
    from.on('error', () => to.destroy());
    from.once('close', () => {
      to.destroy();
      this.#open -= 1;
      if (this.#open > 0) return;
      clearTimeout(this.#timer);
      this.#o.onClose();
    });
  }

  #end(by: CutBy): void {
    if (by === 'reset') return this.reset();
    if (by === 'silence') {
      for (const socket of this.#sockets) socket.pause();
      this.#timer = setTimeout(() => this.reset(), SILENCE_MS);
      return;
    }
    for (const socket of this.#sockets) socket.end();
    this.#timer = setTimeout(() => this.reset(), LEAVE_MS);
  }

  /** Passes nothing on, and takes no more than the kernels do by themselves. */
  hold(): void {
    this.#held = true;
    for (const socket of this.#sockets) socket.pause();
  }

  release(): void {
    this.#held = false;
    if (!this.#cut) for (const socket of this.#sockets) socket.resume();
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }
}
