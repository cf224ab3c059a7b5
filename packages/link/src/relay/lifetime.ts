// SPDX-License-Identifier: Apache-2.0
// Whether a relay has ended, and a signal of that for who asks. Nothing is ended here.

/** A signal takes half a kilobyte, and a relay that stands idle has nobody who waits for its end: made when asked for. */
export class Lifetime {
  #controller: AbortController | null = null;
  #reason: Error | null = null;

  get over(): boolean {
    return this.#reason !== null;
  }

  /** Aborted with the end. One for all who ask, until it is let go. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Nobody listens to the signal handed out so far any more: the next to ask gets a new one. */
  forgetSignal(): void {
    this.#controller = null;
  }

  end(reason: Error): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
