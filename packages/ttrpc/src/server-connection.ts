// SPDX-License-Identifier: Apache-2.0
// One accepted connection: which streams are open, which frames are refused and how, and how calls are run. Rules
// and texts are those of containerd's Go server, so that a client cannot tell the two apart by an error.
import type { Duplex } from 'node:stream';
import type { ManyAnswers, Registry } from './bound-method.js';
import { CallState } from './call-context.js';
import { decodeRequest, encodeResponse, statusEnvelope } from './envelope.js';
import type { RequestEnvelope } from './envelope.js';
import { closedError, StatusError, TtrpcError } from './errors.js';
import { FrameConnection } from './frame-connection.js';
import type { Frame, OversizedFrame } from './frame-decoder.js';
import { encodeFrame, FrameFlag, FrameType, MAX_MESSAGE_LENGTH } from './frame.js';
import { Inbox } from './inbox.js';
import type { Log } from './log.js';
import { StatusCode, statusOfThrown } from './status.js';
import { startTimer } from './timer.js';

export interface ServerLimits {
  readonly byteBudget: number;
  readonly maxConcurrent: number;
  readonly stallMs: number;
}

/** An open stream. It leaves the table when it is answered; its handler may run on. */
interface OpenCall {
  readonly id: number;
  readonly state: CallState;
  /** Messages for the handler; null when the method takes none. */
  readonly inbox: Inbox | null;
  readonly unary: boolean;
  cancelDeadline: (() => void) | null;
}

/** Cost of an open call besides its bytes, so that very many small calls count as well. */
const CALL_OVERHEAD = 1024;
const noBytes = new Uint8Array(0);

export class ServerConnection {
  /** Resolves when the connection has ended, with the error that ended it, if there was one. */
  readonly closed: Promise<Error | undefined>;
  readonly #registry: Registry;
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
    o: { registry: Registry; limits: ServerLimits; peer: unknown; log: Log | undefined },
  ) {
    this.#registry = o.registry;
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
      this.#refuse(
        streamId,
        StatusCode.resourceExhausted,
        `message length ${frame.length} exceed maximum message size of ${MAX_MESSAGE_LENGTH}`,
      );
    } else if (streamId % 2 !== 1) {
      this.#refuse(streamId, StatusCode.invalidArgument, 'StreamID must be odd for client initiated streams');
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
      this.#answer(streamId, StatusCode.invalidArgument, 'StreamID cannot be re-used and must increment');
      return;
    }
    this.#lastStreamId = streamId;
    let request: RequestEnvelope;
    try {
      request = decodeRequest(frame.payload);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown reason';
      this.#answer(streamId, StatusCode.invalidArgument, `unmarshal request error: ${reason}`);
      return;
    }
    if (this.#draining) {
      this.#answer(streamId, StatusCode.unavailable, 'ttrpc: server closed');
      return;
    }
    const methods = this.#registry.get(request.service);
    if (methods === undefined) {
      this.#answer(streamId, StatusCode.unimplemented, `service ${request.service}`);
      return;
    }
    const method = methods.get(request.method);
    if (method === undefined) {
      this.#answer(streamId, StatusCode.unimplemented, `method ${request.method}`);
      return;
    }
    if (this.#running >= this.#limits.maxConcurrent) {
      const text = `more than ${this.#limits.maxConcurrent} calls at once on one connection`;
      this.#answer(streamId, StatusCode.resourceExhausted, text);
      return;
    }
    const call = this.#openCall(streamId, request, method.kind);
    const cost = frame.payload.length + CALL_OVERHEAD;
    this.#connection.hold(cost);
    this.#running++;
    const input = this.#inputOf(call, request, frame.flags);
    const settled = (): void => {
      this.#running--;
      call.inbox?.discard();
      this.#connection.release(cost);
    };
    const answered =
      method.answers === 'one'
        ? method.run(input, call.state).then(payload => this.#complete(call, payload))
        : this.#runStream(call, method, input);
    void answered
      .catch((error: unknown) => this.#failed(call, error))
      .finally(settled)
      .catch((error: unknown) => {
        // A bug of ours. It costs this connection and not the process with all the others.
        this.#connection.destroy(new Error('internal error: a call could not be answered', { cause: error }));
      });
  }

  #openCall(id: number, request: RequestEnvelope, kind: string): OpenCall {
    const timeoutMs = request.timeoutNano === 0n ? null : Number(request.timeoutNano) / 1e6;
    const state = new CallState(request, timeoutMs === null ? null : Date.now() + timeoutMs, this.#peer);
    const takesMany = kind === 'client-stream' || kind === 'bidi';
    const call: OpenCall = {
      id,
      state,
      inbox: takesMany ? new Inbox(this.#connection) : null,
      unary: kind === 'unary',
      cancelDeadline: null,
    };
    this.#open.set(id, call);
    if (timeoutMs !== null) {
      call.cancelDeadline = startTimer(timeoutMs, () => {
        const reason = new StatusError(StatusCode.deadlineExceeded, 'context deadline exceeded');
        call.state.abort(reason);
        call.inbox?.fail(reason);
        // A handler that heeds its signal may answer in its own words first; one that does not is not waited for.
        setImmediate(() => this.#fail(call, reason));
      });
    }
    return call;
  }

  #inputOf(call: OpenCall, request: RequestEnvelope, flags: number): Uint8Array | Inbox {
    if (call.inbox === null) return request.payload;
    // A message may travel in the request itself. An empty one is indistinguishable from none and is taken for none.
    if (request.payload.length > 0) call.inbox.push(request.payload);
    // Without that flag nothing follows: neither after remote closed nor after a request sent as a unary one.
    if ((flags & FrameFlag.remoteOpen) === 0) call.inbox.close();
    return call.inbox;
  }

  #onData(frame: Frame): void {
    const call = this.#open.get(frame.streamId);
    if (call === undefined) {
      this.#answer(frame.streamId, StatusCode.invalidArgument, 'StreamID is no longer active');
      return;
    }
    const { inbox } = call;
    const carriesMessage = (frame.flags & FrameFlag.noData) === 0;
    if (inbox === null) {
      // Clients of a server stream may end their side, though there is nothing to end.
      if (carriesMessage || call.unary) {
        this.#refuse(
          frame.streamId,
          StatusCode.invalidArgument,
          'data handling error: the stream takes no data',
        );
      }
      return;
    }
    if (carriesMessage) {
      if (inbox.closed) {
        this.#refuse(frame.streamId, StatusCode.invalidArgument, 'data handling error: ttrpc: stream closed');
        return;
      }
      inbox.push(frame.payload);
    }
    if ((frame.flags & FrameFlag.remoteClosed) !== 0) inbox.close();
  }

  async #runStream(call: OpenCall, method: ManyAnswers, input: Uint8Array | Inbox): Promise<void> {
    for await (const payload of method.run(input, call.state)) {
      if (!this.#open.has(call.id)) return;
      if (payload.length > MAX_MESSAGE_LENGTH) throw tooLong(payload.length);
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
      this.#sendStatus(call.id, tooLong(bytes.length));
    } else {
      this.#connection.send(encodeFrame({ streamId: call.id, type: FrameType.response }, bytes));
    }
    this.#continueDrain();
  }

  #failed(call: OpenCall, error: unknown): void {
    const status = statusOfThrown(error, call.state.reason ?? undefined);
    if (!isStatus(error)) {
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
  #refuse(streamId: number, code: number, message: string): void {
    const call = this.#open.get(streamId);
    if (call === undefined) {
      this.#answer(streamId, code, message);
      return;
    }
    const reason = new StatusError(code, message);
    call.state.abort(reason);
    call.inbox?.fail(reason);
    this.#fail(call, reason);
  }

  #answer(streamId: number, code: number, message: string): void {
    this.#sendStatus(streamId, new StatusError(code, message));
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
    call.cancelDeadline?.();
    return true;
  }

  #continueDrain(): void {
    if (!this.#draining || this.#connection.closed) return;
    for (const call of this.#open.values()) if (call.unary) return;
    const reason = new StatusError(StatusCode.unavailable, 'ttrpc: server closed');
    for (const call of this.#open.values()) {
      call.state.abort(reason);
      call.inbox?.fail(reason);
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
      StatusCode.resourceExhausted,
      'the stream was not read and held up its connection',
    );
    worst.inbox?.discard();
  }

  #onClosed(error: Error | undefined): void {
    const reason = new StatusError(StatusCode.canceled, 'context canceled', { cause: closedError(error) });
    for (const call of this.#open.values()) {
      this.#close(call);
      call.state.abort(reason);
      call.inbox?.fail(reason);
    }
    if (error instanceof TtrpcError) this.#log?.warn({ code: error.code }, 'connection refused');
    else if (error !== undefined) this.#log?.debug({ err: error }, 'connection lost');
    this.#resolveClosed(error);
  }
}

function isStatus(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_TTRPC_STATUS';
}

/** Where a handler failed, for the log. Never throws, which a getter of a foreign error may. */
function stackOf(error: unknown): string | undefined {
  try {
    return error instanceof Error && typeof error.stack === 'string' ? error.stack : undefined;
  } catch {
    return undefined;
  }
}

function tooLong(bytes: number): StatusError {
  return new StatusError(
    StatusCode.resourceExhausted,
    `message length ${bytes} exceed maximum message size of ${MAX_MESSAGE_LENGTH}`,
  );
}
