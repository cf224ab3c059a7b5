// SPDX-License-Identifier: Apache-2.0
// The client: calls and streams over one connected socket, in bytes. Typed calls are in typed-client.ts; there is no
// dialling here and no redialling.
import type { Duplex } from 'node:stream';
import { endedBefore, metadataOf, timeoutNanoOf, watchCaller } from './call-options.js';
import type { CallOptions } from './call-options.js';
import { ClientStream } from './client-stream.js';
import type { StreamKind } from './client-stream.js';
import { decodeResponse, encodeRequest, errorOfResponse } from './envelope.js';
import { closedError, TtrpcError } from './errors.js';
import { FrameConnection } from './frame-connection.js';
import type { Frame, OversizedFrame } from './frame-decoder.js';
import { encodeFrame, FrameFlag, FrameType, MAX_MESSAGE_LENGTH } from './frame.js';
import { oversizedStatus } from './status.js';
import type { StreamEnd, Submission } from './stream-end.js';

export interface TtrpcClientOptions {
  /**
   * Bytes of stream messages that may wait to be read, over all streams, before the socket is not read any more.
   * Default 64 MiB. ttrpc has no flow control per stream: a stream that nobody reads then holds up the others.
   */
  readonly byteBudget?: number;
}

export interface StreamOptions extends CallOptions {
  readonly kind: StreamKind;
  /** The request message of a server stream. */
  readonly payload?: Uint8Array;
}

interface QueuedRequest {
  id: number | null;
  readonly envelope: Buffer;
  readonly flags: number;
  readonly end: StreamEnd;
}

const LAST_STREAM_ID = 0xffff_ffff;
const noBytes = new Uint8Array(0);

export class TtrpcClient {
  /** Resolves when the connection has ended, with the error that ended it, if there was one. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  readonly #connection: FrameConnection;
  readonly #streams = new Map<number, QueuedRequest>();
  readonly #queue = new Set<QueuedRequest>();
  #nextId = 1;
  #closedBy: TtrpcError | null = null;
  #resolveClosed: (error: Error | undefined) => void = () => {};

  /** Takes over the socket, its errors included. */
  constructor(socket: Duplex, o: TtrpcClientOptions = {}) {
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve;
    });
    this.#connection = new FrameConnection(
      socket,
      {
        onFrame: frame => this.#onFrame(frame),
        onClosed: error => this.#onClosed(error),
        onDrain: () => this.#flushQueue(),
      },
      { byteBudget: o.byteBudget ?? 64 * 1024 * 1024 },
    );
  }

  /** Calls that wait for an answer, streams included. */
  get openCalls(): number {
    return this.#streams.size + this.#queue.size;
  }

  /**
   * One request, one response.
   * @returns the response message; it may be a view of a larger buffer
   * @throws StatusError what the server answered, or DeadlineExceeded or Canceled from `options`
   * @throws TtrpcError ERR_TTRPC_CLOSED, ERR_TTRPC_OVERSIZE, ERR_TTRPC_BAD_RESPONSE, ERR_TTRPC_PROTOCOL,
   *   ERR_TTRPC_PEER_SPEAKS_TLS
   */
  async call(
    service: string,
    method: string,
    payload: Uint8Array,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    const what = `${service}/${method}`;
    const early = endedBefore(what, options);
    if (early !== null) throw early;
    const envelope = this.#encode(service, method, payload, options);
    return await new Promise<Uint8Array>((resolve, reject) => {
      let stopWatching = (): void => {};
      const finish = (): void => {
        stopWatching();
        submission.forget();
      };
      const fail = (error: Error): void => {
        finish();
        reject(error);
      };
      const submission = this.#submit(envelope, 0, {
        onResponse: bytes => {
          const outcome = payloadOf(bytes);
          if (outcome instanceof Error) {
            fail(outcome);
            return;
          }
          finish();
          resolve(outcome);
        },
        onData: () =>
          fail(new TtrpcError('ERR_TTRPC_PROTOCOL', `the server sent stream data in answer to ${what}`)),
        onError: fail,
      });
      if (options.signal !== undefined || options.timeoutMs !== undefined) {
        stopWatching = watchCaller(what, options, fail);
      }
    });
  }

  /**
   * Opens a stream. Failures of any kind come out of the returned stream, none here but a wrong argument.
   * @throws RangeError when `timeoutMs` is NaN
   */
  stream(service: string, method: string, options: StreamOptions): ClientStream {
    const envelope = this.#encode(service, method, options.payload ?? noBytes, options);
    const flags = options.kind === 'server-stream' ? FrameFlag.remoteClosed : FrameFlag.remoteOpen;
    return new ClientStream({
      what: `${service}/${method}`,
      options,
      connection: this.#connection,
      submit: end => this.#submit(envelope, flags, end),
    });
  }

  /** Closes at once. Open calls fail with ERR_TTRPC_CLOSED. */
  close(): void {
    this.#connection.destroy();
  }

  #encode(service: string, method: string, payload: Uint8Array, options: CallOptions): Buffer {
    const timeoutNano = timeoutNanoOf(options);
    const envelope = encodeRequest({ service, method, payload, timeoutNano, metadata: metadataOf(options) });
    if (envelope.length > MAX_MESSAGE_LENGTH) {
      throw new TtrpcError(
        'ERR_TTRPC_OVERSIZE',
        `message length ${envelope.length} exceed maximum message size of ${MAX_MESSAGE_LENGTH}`,
        { hint: 'split the message; ttrpc has no way to send a longer one' },
      );
    }
    return envelope;
  }

  /** Writes a request, or queues it while the socket is congested. */
  #submit(envelope: Buffer, flags: number, end: StreamEnd): Submission {
    const request: QueuedRequest = { id: null, envelope, flags, end };
    if (this.#closedBy !== null) {
      const error = this.#closedBy;
      queueMicrotask(() => end.onError(error));
    } else if (this.#queue.size > 0 || this.#connection.congested) {
      this.#queue.add(request);
    } else {
      this.#transmit(request);
    }
    return {
      get id() {
        return request.id;
      },
      forget: () => {
        this.#queue.delete(request);
        if (request.id !== null) this.#streams.delete(request.id);
      },
    };
  }

  #transmit(request: QueuedRequest): void {
    if (this.#nextId > LAST_STREAM_ID) {
      const used = new TtrpcError('ERR_TTRPC_PROTOCOL', 'the stream ids of this connection are used up');
      queueMicrotask(() => request.end.onError(used));
      return;
    }
    const streamId = this.#nextId;
    this.#nextId += 2;
    request.id = streamId;
    this.#streams.set(streamId, request);
    const { envelope, flags } = request;
    this.#connection.send(encodeFrame({ streamId, type: FrameType.request, flags }, envelope));
  }

  #flushQueue(): void {
    for (const request of this.#queue) {
      if (this.#connection.congested) return;
      this.#queue.delete(request);
      this.#transmit(request);
    }
  }

  #onFrame(frame: Frame | OversizedFrame): void {
    const stream = this.#streams.get(frame.streamId);
    // An answer that comes after its caller left, or one nobody asked for: neither is worth more than this.
    if (stream === undefined) return;
    if (frame.t === 'oversized') {
      this.#streams.delete(frame.streamId);
      stream.end.onError(oversizedStatus(frame.length));
    } else if (frame.type === FrameType.response) {
      this.#streams.delete(frame.streamId);
      stream.end.onResponse(frame.payload);
    } else if (frame.type === FrameType.data) {
      stream.end.onData(frame.payload, frame.flags);
    }
  }

  #onClosed(error: Error | undefined): void {
    const closedBy = error instanceof TtrpcError ? error : closedError(error);
    this.#closedBy = closedBy;
    const open = [...this.#streams.values(), ...this.#queue];
    this.#streams.clear();
    this.#queue.clear();
    for (const { end } of open) end.onError(closedBy);
    this.#resolveClosed(error);
  }
}

function payloadOf(bytes: Buffer): Uint8Array | Error {
  try {
    const response = decodeResponse(bytes);
    return errorOfResponse(response) ?? response.payload;
  } catch (error) {
    return error instanceof Error
      ? error
      : new TtrpcError('ERR_TTRPC_BAD_RESPONSE', 'the response does not decode');
  }
}
