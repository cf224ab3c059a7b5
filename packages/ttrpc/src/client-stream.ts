// SPDX-License-Identifier: Apache-2.0
// The caller's end of one stream, in bytes: send, end the sending side, read, give up. The client gives it frames.
import { endedBefore, watchCaller } from './call-options.js';
import type { CallOptions } from './call-options.js';
import type { StreamEnd, Submission } from './stream-end.js';
import { decodeResponse, errorOfResponse } from './envelope.js';
import { StatusError, TtrpcError } from './errors.js';
import type { FrameConnection } from './frame-connection.js';
import { encodeFrame, FrameFlag, FrameType, MAX_MESSAGE_LENGTH } from './frame.js';
import { Inbox } from './inbox.js';
import { StatusCode } from './status.js';

export type StreamKind = 'client-stream' | 'server-stream' | 'bidi';

/**
 * An open stream. Iterate it once for the messages of the server; leaving the loop early gives the stream up.
 * Errors come out of the loop: StatusError for what the server answered and for the caller's own deadline or
 * signal, TtrpcError for a lost connection.
 */
export class ClientStream implements AsyncIterable<Uint8Array> {
  readonly #what: string;
  readonly #kind: StreamKind;
  readonly #connection: FrameConnection;
  readonly #inbox: Inbox;
  readonly #stopWatching: () => void;
  #submission: Submission | null = null;
  #localOpen: boolean;
  #over: Error | 'done' | null = null;

  constructor(o: {
    what: string;
    options: CallOptions & { readonly kind: StreamKind };
    connection: FrameConnection;
    submit(end: StreamEnd): Submission;
  }) {
    this.#what = o.what;
    this.#kind = o.options.kind;
    this.#connection = o.connection;
    this.#inbox = new Inbox(o.connection);
    this.#localOpen = o.options.kind !== 'server-stream';
    const early = endedBefore(o.what, o.options);
    if (early !== null) {
      this.#stopWatching = () => {};
      this.#finish(early);
      return;
    }
    this.#stopWatching = watchCaller(o.what, o.options, error => this.#giveUp(error));
    this.#submission = o.submit({
      onResponse: bytes => this.#onResponse(bytes),
      onData: (payload, flags) => this.#onData(payload, flags),
      onError: error => this.#finish(error),
    });
  }

  /**
   * Sends one message and resolves when the connection can take another.
   * @throws TtrpcError ERR_TTRPC_STREAM_CLOSED after `closeSend`, after the server ended the stream, and for a
   *   server stream; ERR_TTRPC_OVERSIZE. A stream that failed throws what it failed with.
   */
  async send(message: Uint8Array): Promise<void> {
    if (message.length > MAX_MESSAGE_LENGTH) {
      throw new TtrpcError(
        'ERR_TTRPC_OVERSIZE',
        `message length ${message.length} exceed maximum message size of ${MAX_MESSAGE_LENGTH}`,
      );
    }
    const id = this.#localOpen ? await this.#streamId() : null;
    if (this.#over instanceof Error) throw this.#over;
    if (id === null || this.#over !== null)
      throw new TtrpcError('ERR_TTRPC_STREAM_CLOSED', 'ttrpc: stream closed');
    this.#connection.send(encodeFrame({ streamId: id, type: FrameType.data }, message));
    if (this.#connection.congested) await this.#connection.writable();
  }

  /** Tells the server that nothing more will be sent. Calling it again does nothing. */
  async closeSend(): Promise<void> {
    if (!this.#localOpen) return;
    this.#localOpen = false;
    await this.#streamId();
    if (this.#over === null) this.#sendClose();
  }

  /**
   * The one response of a client stream.
   * @throws as the loop over the stream does
   */
  async result(): Promise<Uint8Array> {
    const first = await this.#inbox.next();
    if (first.done === true) {
      throw new TtrpcError('ERR_TTRPC_PROTOCOL', `the server ended ${this.#what} without a response`);
    }
    return first.value;
  }

  /**
   * Gives the stream up. The server is told that nothing more is sent; what it still answers is ignored.
   * @param error what the reader of the stream gets instead of status Canceled
   */
  cancel(error?: Error): void {
    this.#giveUp(error ?? new StatusError(StatusCode.canceled, `${this.#what} was canceled by its caller`));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined, undefined> {
    try {
      for (;;) {
        const message = await this.#inbox.next();
        if (message.done === true) return undefined;
        yield message.value;
      }
    } finally {
      this.cancel();
      this.#inbox.discard();
    }
  }

  /** The id of the stream, once its request has been written: while that waits, its data must wait behind it. */
  async #streamId(): Promise<number | null> {
    while (this.#submission?.id === null && this.#over === null) {
      await this.#connection.writable();
      await Promise.resolve();
    }
    return this.#submission?.id ?? null;
  }

  #onResponse(bytes: Buffer): void {
    try {
      const response = decodeResponse(bytes);
      const error = errorOfResponse(response);
      if (error !== null) {
        this.#finish(error);
        return;
      }
      // A stream of answers may end with a response instead of data; an empty one then only says that it ended.
      if (this.#kind === 'client-stream' || response.payload.length > 0) this.#inbox.push(response.payload);
      this.#finish(null);
    } catch (error) {
      this.#finish(
        error instanceof Error ? error : new TtrpcError('ERR_TTRPC_BAD_RESPONSE', 'not decodable'),
      );
    }
  }

  #onData(payload: Buffer, flags: number): void {
    if (this.#kind === 'client-stream') {
      this.#giveUp(
        new TtrpcError('ERR_TTRPC_PROTOCOL', `the server sent stream data in answer to ${this.#what}`),
      );
      return;
    }
    if ((flags & FrameFlag.noData) === 0) this.#inbox.push(payload);
    if ((flags & FrameFlag.remoteClosed) !== 0) this.#finish(null);
  }

  #giveUp(error: Error): void {
    if (this.#over !== null) return;
    if (this.#localOpen) {
      this.#localOpen = false;
      this.#sendClose();
    }
    this.#finish(error);
  }

  #sendClose(): void {
    const id = this.#submission?.id ?? null;
    if (id === null) return;
    const flags = FrameFlag.remoteClosed | FrameFlag.noData;
    this.#connection.send(encodeFrame({ streamId: id, type: FrameType.data, flags }, new Uint8Array(0)));
  }

  #finish(error: Error | null): void {
    if (this.#over !== null) return;
    this.#over = error ?? 'done';
    this.#localOpen = false;
    this.#stopWatching();
    this.#submission?.forget();
    if (error === null) this.#inbox.close();
    else this.#inbox.fail(error);
  }
}
