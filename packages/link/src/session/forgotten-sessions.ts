// SPDX-License-Identifier: Apache-2.0
// Whether a session that is not known was ever known here: the ids of those that ended, the last so many of them, and up
// to when others may have been. No clock of its own.

const DEFAULT_MAX = 4096;

export class ForgottenSessions {
  /** When each was forgotten, the oldest first. */
  readonly #ids = new Map<string, number>();
  readonly #max: number;
  /** Any session that was forgotten up to then may be one of those that are not in the map. */
  #untold: number;

  /** @param began when sessions were first known here: of earlier ones nothing can be said */
  constructor(began: number, max: number = DEFAULT_MAX) {
    this.#untold = began;
    this.#max = max;
  }

  note(id: string, now: number): void {
    this.#ids.set(id, now);
    for (const [oldest, at] of this.#ids) {
      if (this.#ids.size <= this.#max) return;
      this.#ids.delete(oldest);
      this.#untold = at;
    }
  }

  /** True only if a session that began at `began`, and is not known, never was: what it sent came to nobody. */
  neverKnew(id: string, began: number): boolean {
    return !this.#ids.has(id) && this.#untold < began;
  }
}
