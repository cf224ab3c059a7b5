// SPDX-License-Identifier: Apache-2.0
// Ids of sandboxes that are gone, the latest of them: a shim that gave up waiting for its StopVM asks again.

const REMEMBERED = 1024;

export class GoneIds {
  readonly #why = new Map<string, string>();

  /** @param why What became of it, where that was not its StopVM. */
  note(id: string, why = ''): void {
    this.#why.set(id, why);
    const [oldest] = this.#why.keys();
    if (this.#why.size > REMEMBERED && oldest !== undefined) this.#why.delete(oldest);
  }

  has(id: string): boolean {
    return this.#why.has(id);
  }

  /** Empty when nothing is known of it. */
  why(id: string): string {
    return this.#why.get(id) ?? '';
  }

  /** The id is in use again. */
  forget(id: string): void {
    this.#why.delete(id);
  }
}
