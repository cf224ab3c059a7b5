// SPDX-License-Identifier: Apache-2.0
// The StopVM calls that will come, once each, from the shims of connections that were closed on purpose.
import { abortable } from '@peerpod-tls/base';

export class StopsToCome {
  readonly #left: Set<string>;
  #all: () => void = () => {};

  constructor(sandboxes: readonly string[]) {
    this.#left = new Set(sandboxes);
  }

  get left(): readonly string[] {
    return [...this.#left];
  }

  came(sandbox: string): void {
    this.#left.delete(sandbox);
    if (this.#left.size === 0) this.#all();
  }

  /** @returns whether all came before the signal aborted */
  async untilAll(signal: AbortSignal): Promise<boolean> {
    if (this.#left.size === 0) return true;
    const all = new Promise<void>(resolve => (this.#all = resolve));
    return abortable(all, signal).then(
      () => true,
      () => false,
    );
  }
}
