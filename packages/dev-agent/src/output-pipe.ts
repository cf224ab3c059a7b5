// SPDX-License-Identifier: Apache-2.0
// One output of a process, read piece by piece on request. Node stops reading the pipe when what nobody has asked for
// passes the stream's mark, so a process that writes faster than it is read waits, as on a full pipe.
import type { Readable } from 'node:stream';
import { endOfFile, invalidArgument } from './guest-status.js';

/** The most one read returns, in bytes: the answer has to fit a frame of 4 MiB with room for its envelope. */
const MAX_READ = 1024 * 1024;

export class OutputPipe {
  readonly #stream: Readable;
  /** Reads take turns: two at once would get the pieces in no particular order. */
  #turn: Promise<unknown> = Promise.resolve();
  #ended = false;
  /** Wakes the read whose turn it is. */
  #wake: () => void = () => undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    // This listener also keeps the stream from flowing off into nothing when the process ends before it is read.
    stream.on('readable', () => this.#wake());
    for (const event of ['end', 'error', 'close']) {
      stream.once(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** Whether everything was read. */
  get drained(): boolean {
    return this.#ended;
  }

  /**
   * Up to `length` bytes, as soon as there are any.
   * @throws StatusError at the end of the output; the reason of `signal` when that aborts first, with nothing consumed
   */
  read(length: number, signal: AbortSignal): Promise<Uint8Array> {
    if (length === 0) return Promise.reject(invalidArgument('len is 0: nothing to read'));
    const mine = this.#turn.then(() => this.#next(Math.min(length, MAX_READ), signal));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #next(length: number, signal: AbortSignal): Promise<Uint8Array> {
    for (;;) {
      signal.throwIfAborted();
      const available = this.#stream.readableLength;
      const chunk: unknown = available > 0 ? this.#stream.read(Math.min(length, available)) : null;
      if (chunk instanceof Uint8Array) return chunk;
      if (this.#ended) throw endOfFile();
      await new Promise<void>(resolve => {
        this.#wake = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
        // Reading an empty stream makes it look at the pipe again, and at its end.
        this.#stream.read(0);
      });
    }
  }
}
