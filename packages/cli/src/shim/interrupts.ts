// SPDX-License-Identifier: Apache-2.0
// Signals while a command runs in a pod VM: the first is for the command, the second for us. It sends nothing itself.
import { constants } from 'node:os';
import type { EventEmitter } from 'node:events';

const HEARD = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Counts signals until `close()`. */
export class Interrupts {
  /** Aborted when the whole undertaking is to be given up. */
  readonly signal: AbortSignal;
  /** The signal that came last, for the exit code 128+n. */
  last: number | undefined;
  readonly #source: EventEmitter;
  readonly #abort = new AbortController();
  readonly #listeners: readonly (readonly [string, () => void])[];
  #forward: ((number: number) => void) | null = null;

  constructor(source: EventEmitter) {
    this.#source = source;
    this.signal = this.#abort.signal;
    this.#listeners = HEARD.map(name => [name, () => this.#hear(constants.signals[name])] as const);
    for (const [name, listener] of this.#listeners) source.on(name, listener);
  }

  /** From now on the next signal goes to `to` instead of ending everything; the one after that ends everything. */
  forwardNext(to: (number: number) => void): void {
    this.#forward = to;
  }

  #hear(number: number): void {
    this.last = number;
    const forward = this.#forward;
    this.#forward = null;
    if (forward === null) this.#abort.abort(new Error('interrupted'));
    else forward(number);
  }

  close(): void {
    for (const [name, listener] of this.#listeners) this.#source.off(name, listener);
  }
}
