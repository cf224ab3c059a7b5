// SPDX-License-Identifier: Apache-2.0
// A relay: frames between one front and one back, the back replaced when it is lost. It owns both streams. What a
// frame means is decided in request-side.ts and response-side.ts, how a back is opened in back-opener.ts.
import type { Duplex } from 'node:stream';
import { encodeFrame, encodeResponse, FrameType, StatusCode } from '@peerpod-tls/ttrpc/relay';
import type { Logger } from 'pino';
import { isPermanent, LinkError, textOf } from '../errors.js';
import { isUnjudgedNetworkEnd, type JudgedPeer } from '../judge.js';
import { BackOpener } from './back-opener.js';
import { CallTable, type Call } from './call-table.js';
import { endSoon } from './end-stream.js';
import { Flow, Hold } from './flow.js';
import { RequestSide } from './request-side.js';
import { ResponseSide } from './response-side.js';
import { Outlet } from './outlet.js';
import { Park } from './park.js';
import { FrameScanner } from './scanner.js';
import type { CloseReason, InFlightCall, Relay, RelayObserver, RelayOptions } from './types.js';

/** Bytes of requests under slow edits, above which the front is not read. */
const EDITING_BYTES = 16 * 1024 * 1024;
/** How long a back may take to end after the front has, in milliseconds. */
const HALF_CLOSE_MS = 5_000;
/** A back that lives this long, or answers anything, is a good one: its loss has the whole budget again. */
const PROVED_MS = 1_000;

/** Starts relaying; the back is opened at once. See {@link RelayOptions}. */
export function startRelay(options: RelayOptions): Relay {
  return new FrameRelay(options);
}

interface Back {
  readonly stream: Duplex;
  readonly outlet: Outlet;
  readonly judgedPeer: JudgedPeer | null;
  readonly since: number;
  readonly flow: Flow;
  answered: boolean;
  error: Error | null;
}

class FrameRelay implements Relay {
  readonly closed: Promise<CloseReason>;
  readonly #front: Duplex;
  readonly #frontFlow: Flow;
  readonly #frontOutlet: Outlet;
  readonly #table: CallTable;
  readonly #requests: FrameScanner;
  readonly #requestSide: RequestSide;
  readonly #responseSide: ResponseSide;
  readonly #opener: BackOpener;
  readonly #canRedial: boolean;
  readonly #backName: string;
  readonly #observer: RelayObserver;
  readonly #log: Logger;
  readonly #abort = new AbortController();
  readonly #park = new Park();
  readonly #resolveClosed: (reason: CloseReason) => void;
  #responses: FrameScanner;
  #back: Back | null = null;
  #frontEnded = false;
  #ended: CloseReason | null = null;
  #draining = false;
  #editingBytes = 0;
  /** Requests that were held up by an edit and wait for a place between two frames, or for a back. */
  #later: { call: Call; frame: Buffer }[] = [];
  #halfCloseTimer: NodeJS.Timeout | null = null;

  constructor(o: RelayOptions) {
    this.#front = streamOf(o.front);
    this.#frontFlow = new Flow(this.#front);
    this.#frontOutlet = new Outlet(this.#front);
    this.#canRedial = o.redial !== null;
    this.#backName = o.backName ?? 'the link to the pod VM';
    this.#observer = o.observer ?? {};
    this.#log = o.log;
    this.#table = new CallTable(o.edits);
    this.#requestSide = new RequestSide(
      {
        answer: (id, status, text) => this.#answer(id, status, text),
        toBack: (bytes, whole, more) => this.#toBack(bytes, whole, more),
        sendLater: (call, frame) => {
          this.#later.push({ call, frame });
          this.#sendLater();
        },
        editing: bytes => this.#editing(bytes),
        breakOff: reason => this.#breakOff('front-protocol', reason),
      },
      this.#table,
      this.#observer,
      this.#abort.signal,
    );
    this.#responseSide = new ResponseSide(
      {
        answer: (id, status, text) => this.#answer(id, status, text),
        toFront: (bytes, whole, more) => this.#toFront(bytes, whole, more),
        breakOff: reason => this.#breakOff('back-protocol', reason),
      },
      this.#table,
      this.#observer,
    );
    this.#requests = new FrameScanner(this.#requestSide);
    this.#responses = new FrameScanner(this.#responseSide);
    this.#opener = new BackOpener(o.openBack, o.redial?.budgetMs ?? null, this.#abort.signal, o.log);
    let resolveClosed: (reason: CloseReason) => void = () => {};
    this.closed = new Promise(resolve => (resolveClosed = resolve));
    this.#resolveClosed = resolveClosed;
    this.#watchFront();
    void this.#openBack(0, null);
  }

  inFlight(): readonly InFlightCall[] {
    const now = performance.now();
    return this.#table.all().map(call => ({
      service: call.plan.service,
      method: call.plan.method,
      streamId: call.frontId,
      sinceMs: now - call.since,
    }));
  }

  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    this.#requestSide.refusal = 'this side is shutting down';
    const onAbort = (): void => this.close({ why: 'drained' });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else this.#checkDrain();
    await this.closed;
    signal.removeEventListener('abort', onAbort);
  }

  close(reason: CloseReason = { why: 'closed' }): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#requests.stop();
    this.#responses.stop();
    if (this.#halfCloseTimer !== null) clearTimeout(this.#halfCloseTimer);
    this.#park.empty();
    this.#later = [];
    const back = this.#back;
    this.#back = null;
    this.#frontOutlet.flush();
    back?.outlet.flush();
    // Edits and dials under way end by this signal; the calls that are open end with the streams.
    this.#abort.abort(closedBecause(reason.why));
    for (const call of this.#table.all()) this.#forget(call, StatusCode.canceled);
    if (back !== null) endSoon(back.stream);
    // A response that cannot be completed must not look like one: the front is cut, not ended.
    if (this.#frontOutlet.midFrame) this.#front.destroy();
    else endSoon(this.#front);
    void Promise.all([gone(this.#front), back === null ? null : gone(back.stream)]).then(() =>
      this.#resolveClosed(reason),
    );
  }

  #watchFront(): void {
    const front = this.#front;
    front.on('data', (chunk: Buffer) => this.#onRequestBytes(chunk));
    front.on('drain', () => {
      this.#frontFlow.release(Hold.answers);
      this.#back?.flow.release(Hold.full);
    });
    front.once('end', () => this.#onFrontEnd());
    front.on('error', error => this.close({ why: 'front-closed', error }));
    front.once('close', () => this.close({ why: 'front-closed' }));
    if (front.destroyed) queueMicrotask(() => this.close({ why: 'front-closed' }));
  }

  #onRequestBytes(chunk: Buffer): void {
    if (this.#ended !== null) return;
    const back = this.#back;
    if (back === null) {
      this.#park.add(chunk);
      if (this.#park.full) this.#frontFlow.hold(Hold.parked);
      return;
    }
    back.outlet.begin(chunk);
    this.#requestSide.now = performance.now();
    this.#requests.feed(chunk);
    back.outlet.end(chunk);
    if (this.#later.length > 0) this.#sendLater();
    if (back.outlet.full) this.#frontFlow.hold(Hold.full);
    if (this.#frontOutlet.full || this.#frontOutlet.crowded) this.#frontFlow.hold(Hold.answers);
  }

  #onResponseBytes(back: Back, chunk: Buffer): void {
    if (this.#back !== back) return;
    back.answered = true;
    const outlet = this.#frontOutlet;
    outlet.begin(chunk);
    this.#responses.feed(chunk);
    outlet.end(chunk);
    if (outlet.full) back.flow.hold(Hold.full);
    else if (!outlet.crowded) this.#frontFlow.release(Hold.answers);
    if (this.#draining) this.#checkDrain();
  }

  #toBack(bytes: Buffer, whole: boolean, more: boolean): void {
    if (this.#back === null) return;
    this.#back.outlet.pass(bytes, whole, more);
    this.#observer.bytes?.('request', bytes.length);
  }

  #toFront(bytes: Buffer, whole: boolean, more: boolean): void {
    this.#frontOutlet.pass(bytes, whole, more);
    this.#observer.bytes?.('response', bytes.length);
  }

  #answer(frontId: number, status: number, text: string): void {
    if (this.#ended !== null) return;
    const response = encodeResponse({
      status: { code: status, message: text, details: [] },
      payload: new Uint8Array(0),
    });
    const frame = encodeFrame({ streamId: frontId, type: FrameType.response }, response);
    this.#frontOutlet.insert(frame);
    if (this.#draining) queueMicrotask(() => this.#checkDrain());
  }

  #sendLater(): void {
    while (this.#later.length > 0 && this.#back !== null && !this.#back.outlet.midFrame) {
      const next = this.#later.shift();
      if (next === undefined) return;
      const backId = this.#requestSide.nextBackId(next.call.frontId);
      next.frame.writeUInt32BE(backId, 4);
      next.call.sent = true;
      this.#table.move(next.call, backId);
      this.#toBack(next.frame, true, false);
    }
  }

  #editing(bytes: number): void {
    this.#editingBytes += bytes;
    if (this.#editingBytes > EDITING_BYTES) this.#frontFlow.hold(Hold.edits);
    else this.#frontFlow.release(Hold.edits);
  }

  #breakOff(why: 'front-protocol' | 'back-protocol', reason: string): void {
    this.#observer.protocolError?.(reason);
    this.#log.warn({ reason }, 'relay closed because of what one side sent');
    this.close({ why, error: new LinkError('ERR_LINK_CLOSED', reason) });
  }

  #onFrontEnd(): void {
    if (this.#ended !== null) return;
    this.#frontEnded = true;
    if (!this.#requests.clean) {
      this.#observer.protocolError?.('the calling side hung up inside a frame');
      this.#log.debug('the calling side hung up inside a frame');
    }
    const back = this.#back;
    const waiting = this.#table.size > 0 && this.#table.all().every(call => call.sent);
    if (back === null || !waiting || !this.#requests.clean) return this.close({ why: 'front-closed' });
    // The front may still read: let the back see the end, answer what it will, and end in its turn.
    back.stream.end();
    this.#halfCloseTimer = setTimeout(() => this.close({ why: 'front-closed' }), HALF_CLOSE_MS);
  }

  async #openBack(failed: number, lostAt: number | null): Promise<void> {
    let opened: Duplex | JudgedPeer;
    try {
      opened = await this.#opener.open();
    } catch (error) {
      if (this.#ended !== null) return;
      this.#log.warn({ error: textOf(error), backName: this.#backName }, 'back given up');
      if (!this.#canRedial) this.#refuseParked(textOf(error));
      return this.close({
        why: 'back-lost',
        error: error instanceof Error ? error : new Error(String(error)),
      });
    }
    if (this.#ended !== null) return endSoon('peer' in opened ? opened.socket : opened);
    this.#attach(opened);
    const replayed = this.#replay();
    if (lostAt !== null) {
      const ms = performance.now() - lostAt;
      this.#observer.redialled?.(ms, replayed, failed);
      this.#log.info({ ms: Math.round(ms), replayed, failed }, 'link redialled');
    }
    for (const chunk of this.#park.empty()) this.#onRequestBytes(chunk);
    this.#frontFlow.release(Hold.parked);
  }

  /** Answers the calls that came while there was no back with why there never will be one. */
  #refuseParked(text: string): void {
    this.#requestSide.refusal = text;
    for (const chunk of this.#park.empty()) this.#requests.feed(chunk);
  }

  #attach(opened: Duplex | JudgedPeer): void {
    const stream = streamOf(opened);
    const back: Back = {
      stream,
      outlet: new Outlet(stream),
      judgedPeer: 'peer' in opened ? opened : null,
      since: performance.now(),
      flow: new Flow(stream),
      answered: false,
      error: null,
    };
    this.#back = back;
    this.#responses = new FrameScanner(this.#responseSide);
    stream.on('data', (chunk: Buffer) => this.#onResponseBytes(back, chunk));
    stream.on('drain', () => {
      if (this.#back === back) this.#frontFlow.release(Hold.full);
    });
    stream.on('error', error => {
      back.error = error;
      this.#onBackLost(back);
    });
    stream.once('end', () => this.#onBackLost(back));
    stream.once('close', () => this.#onBackLost(back));
    if (stream.destroyed || stream.readableEnded) queueMicrotask(() => this.#onBackLost(back));
  }

  /** Sends again what may run twice, oldest first, then what never left. */
  #replay(): number {
    let replayed = 0;
    for (const call of this.#table.all()) {
      if (call.kept === null || !call.sent) continue;
      this.#toBack(call.kept, true, false);
      replayed++;
    }
    this.#sendLater();
    return replayed;
  }

  #onBackLost(back: Back): void {
    if (this.#back !== back || this.#ended !== null) return;
    this.#frontOutlet.flush();
    back.outlet.flush();
    this.#back = null;
    back.stream.destroy();
    if (back.answered || performance.now() - back.since >= PROVED_MS) this.#opener.settled();
    const error = back.judgedPeer?.failure() ?? back.error;
    if (this.#frontOutlet.midFrame) {
      return this.close({
        why: 'cut-response',
        error: new LinkError('ERR_LINK_CLOSED', 'the back was lost inside an answer that was under way'),
      });
    }
    if (this.#frontEnded) return this.close({ why: 'front-closed' });
    this.#requests.dropRest();
    this.#frontFlow.release(Hold.full);
    // A shim takes a closed connection for what it is, and a status on a call it would make again for something else.
    const failed = this.#failOpenCalls(call => !this.#canRedial || (call.sent && call.kept === null));
    const open = this.#table.size;
    this.#log.info({ failed, open, error: error === null ? undefined : textOf(error) }, 'link lost');
    if (!this.#canRedial || isPermanent(error))
      return this.close({ why: 'back-lost', ...(error === null ? {} : { error }) });
    void this.#openBack(failed, performance.now());
  }

  /** Answers these calls Unavailable: whether the agent ran them cannot be known. */
  #failOpenCalls(which: (call: Call) => boolean): number {
    let failed = 0;
    for (const call of this.#table.all()) {
      if (!which(call)) continue;
      this.#forget(call, StatusCode.unavailable);
      const text = call.sent
        ? `${this.#backName} was cut while this call was open; it is not known whether the agent ran it`
        : `${this.#backName} was cut before this call was sent`;
      this.#answer(call.frontId, StatusCode.unavailable, text);
      failed++;
    }
    return failed;
  }

  #forget(call: Call, status: number): void {
    this.#table.remove(call);
    this.#observer.callEnded?.(call.plan.service, call.plan.method, status, performance.now() - call.since);
  }

  #checkDrain(): void {
    if (!this.#draining || this.#ended !== null || this.#frontOutlet.midFrame) return;
    if (this.#table.all().every(call => call.plan.traits.blocks)) this.close({ why: 'drained' });
  }
}

const closings = new Map<CloseReason['why'], LinkError>();

/** Why a relay's signal is aborted. One error per word for all relays: its stack, the dear part, would tell nobody anything. */
function closedBecause(why: CloseReason['why']): LinkError {
  let error = closings.get(why);
  if (error === undefined)
    closings.set(why, (error = new LinkError('ERR_LINK_CLOSED', `the relay closed: ${why}`)));
  return error;
}

function streamOf(end: Duplex | JudgedPeer): Duplex {
  const stream = 'peer' in end ? end.socket : end;
  if (isUnjudgedNetworkEnd(stream)) {
    throw new LinkError(
      'ERR_LINK_UNJUDGED',
      'internal error: a network socket that nobody judged was given to a relay',
    );
  }
  return stream;
}

function gone(stream: Duplex): Promise<void> {
  return stream.closed ? Promise.resolve() : new Promise(resolve => void stream.once('close', resolve));
}
