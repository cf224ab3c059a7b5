// SPDX-License-Identifier: Apache-2.0
// How the demo is asked to end: a signal or a closed output ends it in order, a second signal at once.
import { constants } from 'node:os';
import type { Io } from '../io.js';
import { codeOf } from '@peerpod-tls/base';
import type { Place } from './place.js';
import { sweep } from './sweep.js';

const HEARD = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class Ending {
  /** Aborted when the demo is to end in order; its reason is the exit code to end with if nothing else is known. */
  readonly signal: AbortSignal;
  /** Resolves with the exit code after a second signal, when everything was ended by force. */
  readonly swept: Promise<number>;
  brokenPipe = false;
  readonly #io: Io;
  #place: Place | null = null;
  readonly #abort = new AbortController();
  readonly #listeners: readonly (readonly [string, () => void])[];
  #settle: (code: number) => void = () => {};

  /** Listens from now on: before anything is made that a signal would leave behind. */
  constructor(io: Io) {
    this.#io = io;
    this.signal = this.#abort.signal;
    this.swept = new Promise(resolve => {
      this.#settle = resolve;
    });
    this.#listeners = HEARD.map(name => [name, () => this.#hear(128 + constants.signals[name])] as const);
    for (const [name, listener] of this.#listeners) io.signals.on(name, listener);
    io.stdout.on('error', this.#onOutputError);
  }

  /** This is what a second signal sweeps away. */
  guard(place: Place): void {
    this.#place = place;
  }

  #hear(code: number): void {
    if (!this.signal.aborted) {
      this.#abort.abort(code);
      return;
    }
    if (this.#place !== null) sweep(this.#place.dir, { keep: this.#place.keep });
    this.#settle(code);
  }

  readonly #onOutputError = (error: unknown): void => {
    this.brokenPipe ||= codeOf(error) === 'EPIPE';
    this.#abort.abort(128 + constants.signals.SIGPIPE);
  };

  close(): void {
    for (const [name, listener] of this.#listeners) this.#io.signals.off(name, listener);
    // The listener for a broken output stays: what is written while leaving may still meet it.
  }
}
