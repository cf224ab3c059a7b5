// SPDX-License-Identifier: Apache-2.0
// Whether an adaptor serves the adaptor socket: from the Hello in which it said so until its connection ends.
import { abortable } from '@peerpod-tls/base';

export class AdaptorPresence {
  /** The control connection of the adaptor that said so last. */
  #serving: object | null = null;
  readonly #waiting = new Set<() => void>();

  get there(): boolean {
    return this.#serving !== null;
  }

  /** Which adaptor it is; null for none. Another one is another object. */
  get serving(): object | null {
    return this.#serving;
  }

  arrived(connection: object): void {
    this.#serving = connection;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** The end of a connection that another adaptor's came after means nothing. */
  left(connection: object): void {
    if (this.#serving === connection) this.#serving = null;
  }

  /** @throws the signal's reason */
  async untilThere(signal: AbortSignal): Promise<void> {
    while (!this.there) {
      let wake = (): void => {};
      const arrived = new Promise<void>(resolve => {
        wake = resolve;
        this.#waiting.add(wake);
      });
      try {
        await abortable(arrived, signal);
      } finally {
        this.#waiting.delete(wake);
      }
    }
  }
}
