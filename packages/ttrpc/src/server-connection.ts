// SPDX-License-Identifier: Apache-2.0
// One accepted connection: which streams are open, which frames are refused and how, and how calls are run. Rules
// and texts are those of containerd's Go server, so that a client cannot tell the two apart by an error.
import { messageOf } from '@peerpod-tls/base';
import type { Duplex } from 'node:stream';
import type { BoundMethod, ManyAnswers, Registry, SingleAnswer } from './bound-method.js';
import { decodeRequest } from './envelope.js';
import type { RequestEnvelope } from './envelope.js';
import { closedError, StatusError, TtrpcError } from './errors.js';
import { FrameConnection } from './frame-connection.js';
import type { Frame, OversizedFrame } from './frame-decoder.js';
import { encodeFrame, FrameFlag, FrameType, MAX_MESSAGE_LENGTH } from './frame.js';
import type { Log } from './log.js';
import { OpenCall } from './open-call.js';
import { encodeResponse, statusEnvelope } from './response-envelope.js';
import { isStatusError, oversizedStatus, stackOf, StatusCode, statusOfThrown } from './status.js';

export interface ServerLimits {
  readonly byteBudget: number;
  readonly maxConcurrent: number;
  readonly stallMs: number;
}

/** Cost of an open call besides its bytes, so that very many small calls count as well. */
const CALL_OVERHEAD = 1024;
const noBytes = new Uint8Array(0);

export class ServerConnection {
  /** Resolves when the connection has ended, with the error that ended it, if there was one. */
  readonly closed: Promise<Error | undefined>;
  readonly #registry: Registry;
  readonly #fallback: SingleAnswer | null;
  readonly #limits: ServerLimits;
  readonly #peer: unknown;
  readonly #log: Log | undefined;
  readonly #connection: FrameConnection;
  readonly #open = new Map<number, OpenCall>();
  #lastStreamId = 0;
  #running = 0;
  #draining = false;
  #resolveClosed: (error: Error | undefined) => void = () => {};

  constructor(
    socket: Duplex,
    o: {
      registry: Registry;
      fallback: SingleAnswer | null;
      limits: ServerLimits;
      peer: unknown;
      log: Log | undefined;
    },
  ) {
    this.#registry = o.registry;
    this.#fallback = o.fallback;
    this.#limits = o.limits;
    this.#peer = o.peer;
    this.#log = o.log;
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve;
    });
    this.#connection = new FrameConnection(
      socket,
      {
        onFrame: frame => this.#onFrame(frame),
        onClosed: error => this.#onClosed(error),
        onStall: () => this.#onStall(),
      },
      o.limits,
    );
  }

  /** Streams that wait for an answer. */
  get openCalls(): number {
    return this.#open.size;
  }

  /**
   * Refuses new calls, lets unary calls finish, ends streams when no unary call is left, then closes. Resolves when
   * the connection is closed; when `signal` aborts, that is at once.
   */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    const destroy = (): void => this.destroy();
    if (signal.aborted) destroy();
    else signal.addEventListener('abort', destroy, { once: true });
    this.#continueDrain();
    await this.closed;
    signal.removeEventListener('abort', destroy);
  }

  /** Closes at once. Open calls are aborted and never answered. */
  destroy(): void {
    this.#connection.destroy();
  }

  #onFrame(frame: Frame | OversizedFrame): void {
    const { streamId } = frame;
    if (frame.t === 'oversized') {
      this.#refuse(streamId, oversizedStatus(frame.length));
    } else if (streamId % 2 !== 1) {
      this.#refuse(streamId, invalid('StreamID must be odd for client initiated streams'));
    } else if (frame.type === FrameType.request) {
      this.#onRequest(frame);
    } else if (frame.type === FrameType.data) {
      this.#onData(frame);
    }
    // Other types, a response among them, mean nothing to a server today and are left to the future.
  }

  #onRequest(frame: Frame): void {
    const { streamId } = frame;
    if (streamId <= this.#lastStreamId) {
      // The stream of that id may still be open. It stays so: the mistake is this frame's, not the handler's.
      this.#sendStatus(streamId, invalid('StreamID cannot be re-used and must increment'));
      return;
    }
    this.#lastStreamId = streamId;
    let request: RequestEnvelope;
    try {
      request = decodeRequest(frame.payload);
    } catch (error) {
      const reason = messageOf(error);
      this.#sendStatus(streamId, invalid(`unmarshal request error: ${reason}`));
      return;
    }
    const found = this.#find(request);
    if (found instanceof StatusError) {
      this.#sendStatus(streamId, found);
      return;
    }
    const call = new OpenCall({
      id: streamId,
      request,
      flags: frame.flags,
      kind: found.kind,
      peer: this.#peer,
      ledger: this.#connection,
      expired: (expired, reason) => this.#fail(expired, reason),
    });
    this.#open.set(streamId, call);
    this.#run(call, found, frame.payload.length + CALL_OVERHEAD);
  }

  /** The method a request is for, or why it is not run. */
  #find(request: RequestEnvelope): BoundMethod | StatusError {
    if (this.#draining) return new StatusError(StatusCode.unavailable, 'ttrpc: server closed');
    const methods = this.#registry.get(request.service);
    const method = methods?.get(request.method) ?? this.#fallback;
    if (methods === undefined && method === null)
      return new StatusError(StatusCode.unimplemented, `service ${request.service}`);
    if (method === null) return new StatusError(StatusCode.unimplemented, `method ${request.method}`);
    if (this.#running < this.#limits.maxConcurrent) return method;
    const text = `more than ${this.#limits.maxConcurrent} calls at once on one connection`;
    return new StatusError(StatusCode.resourceExhausted, text);
  }

  #run(call: OpenCall, method: BoundMethod, cost: number): void {
    this.#connection.hold(cost);
    this.#running++;
    const settled = (): void => {
      this.#running--;
      call.inbox?.discard();
      this.#connection.release(cost);
    };
    const answered =
      method.answers === 'one'
        ? method.run(call.input, call.state).then(payload => this.#complete(call, payload))
        : this.#runStream(call, method);
    void answered
      .catch((error: unknown) => this.#failed(call, error))
      .finally(settled)
      .catch((error: unknown) => {
        // A bug of ours. It costs this connection and not the process with all the others.
        this.#connection.destroy(new Error('internal error: a call could not be answered', { cause: error }));
      });
  }

  #onData(frame: Frame): void {
    const call = this.#open.get(frame.streamId);
    if (call === undefined) {
      this.#sendStatus(frame.streamId, invalid('StreamID is no longer active'));
      return;
    }
    const { inbox } = call;
    const carriesMessage = (frame.flags & FrameFlag.noData) === 0;
    if (inbox === null) {
      // Clients of a server stream may end their side, though there is nothing to end.
      if (carriesMessage || call.unary) {
        this.#refuse(frame.streamId, invalid('data handling error: the stream takes no data'));
      }
      return;
    }
    if (carriesMessage) {
      if (inbox.closed) {
        this.#refuse(frame.streamId, invalid('data handling error: ttrpc: stream closed'));
        return;
      }
      inbox.push(frame.payload);
    }
    if ((frame.flags & FrameFlag.remoteClosed) !== 0) inbox.close();
  }

  async #runStream(call: OpenCall, method: ManyAnswers): Promise<void> {
    for await (const payload of method.run(call.input, call.state)) {
      if (!this.#open.has(call.id)) return;
      if (payload.length > MAX_MESSAGE_LENGTH) throw oversizedStatus(payload.length);
      this.#connection.send(encodeFrame({ streamId: call.id, type: FrameType.data }, payload));
      if (this.#connection.congested) await this.#connection.writable();
    }
    if (!this.#close(call)) return;
    const flags = FrameFlag.remoteClosed | FrameFlag.noData;
    this.#connection.send(encodeFrame({ streamId: call.id, type: FrameType.data, flags }, noBytes));
    this.#continueDrain();
  }

  #complete(call: OpenCall, payload: Uint8Array): void {
    if (!this.#close(call)) return;
    const bytes = encodeResponse({ status: null, payload });
    if (bytes.length > MAX_MESSAGE_LENGTH) {
      this.#log?.warn(
        { service: call.state.service, method: call.state.method, bytes: bytes.length },
        'response refused as too long',
      );
      this.#sendStatus(call.id, oversizedStatus(bytes.length));
    } else {
      this.#connection.send(encodeFrame({ streamId: call.id, type: FrameType.response }, bytes));
    }
    this.#continueDrain();
  }

  #failed(call: OpenCall, error: unknown): void {
    const status = statusOfThrown(error, call.state.reason ?? undefined);
    if (this.#open.get(call.id) === call && !isStatusError(error)) {
      const { service, method } = call.state;
      this.#log?.warn(
        { service, method, status: status.status, reason: status.message, stack: stackOf(error) },
        'handler failed',
      );
    }
    this.#fail(call, status);
  }

  #fail(call: OpenCall, status: StatusError): void {
    if (!this.#close(call)) return;
    this.#sendStatus(call.id, status);
    this.#continueDrain();
  }

  /** Ends the stream of this id, if one is open, with a status that the frame at hand earned. */
  #refuse(streamId: number, reason: StatusError): void {
    const call = this.#open.get(streamId);
    if (call === undefined) {
      this.#sendStatus(streamId, reason);
      return;
    }
    call.abort(reason);
    this.#fail(call, reason);
  }

  #sendStatus(streamId: number, status: StatusError): void {
    let bytes = encodeResponse(statusEnvelope(status));
    if (bytes.length > MAX_MESSAGE_LENGTH) {
      bytes = encodeResponse(
        statusEnvelope(new StatusError(status.status, 'the status was too long to be sent')),
      );
    }
    this.#connection.send(encodeFrame({ streamId, type: FrameType.response }, bytes));
  }

  /** Takes the call off the table; false when it had left it before and so must not be answered again. */
  #close(call: OpenCall): boolean {
    if (this.#open.get(call.id) !== call) return false;
    this.#open.delete(call.id);
    call.close();
    return true;
  }

  #continueDrain(): void {
    if (!this.#draining || this.#connection.closed) return;
    for (const call of this.#open.values()) if (call.unary) return;
    const reason = new StatusError(StatusCode.unavailable, 'ttrpc: server closed');
    for (const call of this.#open.values()) {
      call.abort(reason);
      if (this.#close(call)) this.#sendStatus(call.id, reason);
    }
    this.#connection.end();
  }

  /** Reading stands still. If a handler that does not read its stream is why, that stream pays, not the others. */
  #onStall(): void {
    if (this.#connection.unsentBytes * 2 > this.#limits.byteBudget) return;
    let worst: OpenCall | null = null;
    for (const call of this.#open.values()) {
      if (call.inbox !== null && call.inbox.waitingBytes > (worst?.inbox?.waitingBytes ?? 0)) worst = call;
    }
    if (worst === null) return;
    const { service, method } = worst.state;
    this.#log?.warn({ service, method, bytes: worst.inbox?.waitingBytes }, 'unread stream ended');
    this.#refuse(
      worst.id,
      new StatusError(StatusCode.resourceExhausted, 'the stream was not read and held up its connection'),
    );
    worst.inbox?.discard();
  }

  #onClosed(error: Error | undefined): void {
    const reason = new StatusError(StatusCode.canceled, 'context canceled', { cause: closedError(error) });
    for (const call of this.#open.values()) {
      this.#close(call);
      call.abort(reason);
    }
    if (error instanceof TtrpcError) this.#log?.warn({ code: error.code }, 'connection refused');
    else if (error !== undefined) this.#log?.debug({ err: error }, 'connection lost');
    this.#resolveClosed(error);
  }
}

function invalid(message: string): StatusError {
  return new StatusError(StatusCode.invalidArgument, message);
}
