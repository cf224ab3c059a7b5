// SPDX-License-Identifier: Apache-2.0
// Messages of one stream that have arrived and were not read yet. Counts their bytes with the connection, which
// stops reading its socket when too many wait.

/** Where waiting bytes are counted. */
export interface Ledger {
  hold(bytes: number): void;
  release(bytes: number): void;
}

/** Cost of keeping one message besides its bytes: queue entry, buffer object and a share of its chunk. */
const MESSAGE_OVERHEAD = 256;

type Ended = { readonly error: unknown } | null;

/** A queue with one reader. Ends cleanly with `close`, or with an error that the reader gets after the messages. */
export class Inbox implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #ledger: Ledger;
  #queue: Uint8Array[] = [];
  #head = 0;
  #bytes = 0;
  #ended: Ended | undefined;
  #wake: (() => void) | null = null;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** Bytes held by messages that wait to be read. */
  get waitingBytes(): number {
    return this.#bytes;
  }

  get closed(): boolean {
    return this.#ended !== undefined;
  }

  push(message: Uint8Array): void {
    if (this.#ended !== undefined) return;
    this.#queue.push(message);
    this.#count(message.length + MESSAGE_OVERHEAD);
    this.#signal();
  }

  /** No more messages will come; those that wait can still be read. */
  close(): void {
    this.#end(null);
  }

  /** As {@link close}, and the reader then gets this error. */
  fail(error: unknown): void {
    this.#end({ error });
  }

  /** Drops what waits: nobody will read it. */
  discard(): void {
    this.#end(null);
    this.#queue = [];
    this.#head = 0;
    this.#count(-this.#bytes);
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      const message = this.#queue[this.#head];
      if (message !== undefined) {
        this.#take(message);
        return { done: false, value: message };
      }
      if (this.#ended !== undefined) {
        const ended = this.#ended;
        this.#ended = null;
        if (ended !== null) throw ended.error;
        return { done: true, value: undefined };
      }
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.discard();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(message: Uint8Array): void {
    this.#head++;
    // Shifting an array costs its length; a moving head costs one copy per thousand messages.
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    this.#count(-(message.length + MESSAGE_OVERHEAD));
  }

  #end(ended: Ended): void {
    if (this.#ended !== undefined) return;
    this.#ended = ended;
    this.#signal();
  }

  #count(bytes: number): void {
    if (bytes === 0) return;
    this.#bytes += bytes;
    if (bytes > 0) this.#ledger.hold(bytes);
    else this.#ledger.release(-bytes);
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
