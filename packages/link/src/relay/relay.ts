// SPDX-License-Identifier: Apache-2.0
// A relay: frames between one front and one back, the back replaced when it is lost. It owns both streams. What a
// frame means is decided in request-side.ts and response-side.ts, how a back is opened in back-opener.ts, what becomes of
// open calls in open-calls.ts.
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { isPermanent, LinkError, textOf } from '../errors.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { lossCause } from '../loss.js';
import { Back, type BackPort } from './upstream.js';
import { BackOpener } from './upstream-opener.js';
import { CallTable } from './call-table.js';
import { closedBecause } from './closed-because.js';
import { endSoon, gone } from './end-stream.js';
import { Hold } from './flow.js';
import { Front } from './downstream.js';
import { OpenCalls } from './open-calls.js';
import { Park } from './park.js';
import { RequestSide } from './request-side.js';
import { ResponseSide } from './response-side.js';
import { FrameScanner } from './scanner.js';
import type { CloseReason, InFlightCall, Relay, RelayObserver, RelayOptions } from './types.js';

/** Bytes of requests under slow edits, above which the front is not read. */
const EDITING_BYTES = 16 * 1024 * 1024;
/** How long a back may take to end after the front has, in milliseconds. */
const HALF_CLOSE_MS = 5_000;

/** Starts relaying; the back is opened at once. See {@link RelayOptions}. */
export function startRelay(options: RelayOptions): Relay {
  return new FrameRelay(options);
}

class FrameRelay implements Relay {
  readonly closed: Promise<CloseReason>;
  readonly #front: Front;
  readonly #backPort: BackPort;
  readonly #calls: OpenCalls;
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
  #halfCloseTimer: NodeJS.Timeout | null = null;

  constructor(o: RelayOptions) {
    this.#front = new Front(o.front, {
      bytes: chunk => this.#onRequestBytes(chunk),
      drained: () => {
        this.#front.flow.release(Hold.answers);
        this.#back?.flow.release(Hold.full);
      },
      ended: () => this.#onFrontEnd(),
      closed: error => this.close({ why: 'front-closed', ...(error === undefined ? {} : { error }) }),
    });
    this.#backPort = {
      bytes: (back, chunk) => this.#onResponseBytes(back, chunk),
      drained: back => {
        if (this.#back === back) this.#front.flow.release(Hold.full);
      },
      lost: back => this.#onBackLost(back),
    };
    this.#canRedial = o.redial !== null;
    this.#backName = o.backName ?? 'the link to the pod VM';
    this.#observer = o.observer ?? {};
    this.#log = o.log;
    const answer = (id: number, status: number, text: string): void => this.#answer(id, status, text);
    const table = new CallTable(o.edits);
    this.#requestSide = new RequestSide(
      {
        answer,
        toBack: (bytes, whole, more) => this.#toBack(bytes, whole, more),
        sendLater: (call, frame) => {
          this.#calls.hold(call, frame);
          this.#calls.sendHeld(this.#back);
        },
        editing: bytes => this.#editing(bytes),
        breakOff: reason => this.#breakOff('front-protocol', reason),
      },
      table,
      this.#observer,
      this.#abort.signal,
    );
    this.#responseSide = new ResponseSide(
      {
        answer,
        toFront: (bytes, whole, more) => this.#toFront(bytes, whole, more),
        breakOff: reason => this.#breakOff('back-protocol', reason),
      },
      table,
      this.#observer,
    );
    this.#calls = new OpenCalls(
      table,
      {
        answer,
        send: frame => this.#toBack(frame, true, false),
        nextBackId: frontId => this.#requestSide.nextBackId(frontId),
      },
      this.#observer,
      this.#backName,
    );
    this.#requests = new FrameScanner(this.#requestSide);
    this.#responses = new FrameScanner(this.#responseSide);
    this.#opener = new BackOpener(o.openBack, o.redial?.budgetMs ?? null, this.#abort.signal, o.log);
    let resolveClosed: (reason: CloseReason) => void = () => {};
    this.closed = new Promise(resolve => (resolveClosed = resolve));
    this.#resolveClosed = resolveClosed;
    void this.#openBack(0, null);
  }

  inFlight(): readonly InFlightCall[] {
    return this.#calls.list();
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
    const back = this.#back;
    this.#back = null;
    this.#front.outlet.flush();
    back?.outlet.flush();
    // Edits and dials under way end by this signal; the calls that are open end with the streams.
    this.#abort.abort(closedBecause(reason.why));
    this.#calls.letGo();
    if (back !== null) endSoon(back.stream);
    this.#front.leave();
    void Promise.all([gone(this.#front.stream), back === null ? null : gone(back.stream)]).then(() =>
      this.#resolveClosed(reason),
    );
  }

  #onRequestBytes(chunk: Buffer): void {
    if (this.#ended !== null) return;
    const back = this.#back;
    if (back === null) {
      this.#park.add(chunk);
      if (this.#park.full) this.#front.flow.hold(Hold.parked);
      return;
    }
    back.outlet.begin(chunk);
    this.#requestSide.now = performance.now();
    this.#requests.feed(chunk);
    back.outlet.end(chunk);
    this.#calls.sendHeld(back);
    if (back.outlet.full) this.#front.flow.hold(Hold.full);
    if (this.#front.outlet.full || this.#front.outlet.crowded) this.#front.flow.hold(Hold.answers);
  }

  #onResponseBytes(back: Back, chunk: Buffer): void {
    if (this.#back !== back) return;
    const outlet = this.#front.outlet;
    outlet.begin(chunk);
    this.#responseSide.now = performance.now();
    this.#responses.feed(chunk);
    outlet.end(chunk);
    if (outlet.full) back.flow.hold(Hold.full);
    else if (!outlet.crowded) this.#front.flow.release(Hold.answers);
    if (this.#draining) this.#checkDrain();
  }

  #toBack(bytes: Buffer, whole: boolean, more: boolean): void {
    if (this.#back === null) return;
    this.#back.outlet.pass(bytes, whole, more);
    this.#observer.bytes?.('request', bytes.length);
  }

  #toFront(bytes: Buffer, whole: boolean, more: boolean): void {
    this.#front.outlet.pass(bytes, whole, more);
    this.#observer.bytes?.('response', bytes.length);
  }

  #answer(frontId: number, status: number, text: string): void {
    if (this.#ended !== null) return;
    this.#front.answer(frontId, status, text);
    if (this.#draining) queueMicrotask(() => this.#checkDrain());
  }

  #editing(bytes: number): void {
    this.#editingBytes += bytes;
    if (this.#editingBytes > EDITING_BYTES) this.#front.flow.hold(Hold.edits);
    else this.#front.flow.release(Hold.edits);
  }

  #breakOff(why: 'front-protocol' | 'back-protocol', reason: string): void {
    this.#observer.protocolError?.(reason);
    if (why === 'back-protocol') this.#observer.backLost?.('protocol');
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
    if (back === null || !this.#calls.onlyAwaited || !this.#requests.clean)
      return this.close({ why: 'front-closed' });
    // The front may still read: let the back see the end, answer what it will, and end in its turn.
    back.stream.end();
    this.#halfCloseTimer = setTimeout(() => this.close({ why: 'front-closed' }), HALF_CLOSE_MS);
  }

  async #openBack(failed: number, lostAt: number | null): Promise<void> {
    let opened: Duplex | VerifiedPeer;
    try {
      opened = await this.#opener.open();
    } catch (error) {
      if (this.#ended !== null) return;
      this.#log.warn({ error: textOf(error), backName: this.#backName }, 'back given up');
      if (lostAt !== null) this.#observer.notRedialled?.(lossCause(error));
      if (!this.#canRedial) this.#refuseParked(textOf(error));
      return this.close({
        why: 'back-lost',
        error: error instanceof Error ? error : new Error(String(error)),
      });
    }
    if (this.#ended !== null) return endSoon('peer' in opened ? opened.socket : opened);
    const back = new Back(opened, this.#backPort);
    this.#back = back;
    this.#responses = new FrameScanner(this.#responseSide);
    const replayed = this.#calls.replay(back);
    if (lostAt !== null) {
      const ms = performance.now() - lostAt;
      this.#observer.redialled?.(ms, replayed, failed);
      this.#log.info({ ms: Math.round(ms), replayed, failed }, 'link redialled');
    }
    for (const chunk of this.#park.empty()) this.#onRequestBytes(chunk);
    this.#front.flow.release(Hold.parked);
  }

  /** Answers the calls that came while there was no back with why there never will be one. */
  #refuseParked(text: string): void {
    this.#requestSide.refusal = text;
    for (const chunk of this.#park.empty()) this.#requests.feed(chunk);
  }

  #onBackLost(back: Back): void {
    if (this.#back !== back || this.#ended !== null) return;
    this.#front.outlet.flush();
    back.outlet.flush();
    this.#back = null;
    back.stream.destroy();
    if (back.proved) this.#opener.settled();
    const error = back.failure();
    if (!this.#frontEnded) this.#observer.backLost?.(lossCause(error));
    if (this.#front.outlet.midFrame) {
      return this.close({
        why: 'cut-response',
        error: new LinkError('ERR_LINK_CLOSED', 'the back was lost inside an answer that was under way'),
      });
    }
    if (this.#frontEnded) return this.close({ why: 'front-closed' });
    this.#requests.dropRest();
    this.#front.flow.release(Hold.full);
    // A shim takes a closed connection for what it is, and a status on a call it would make again for something else.
    const failed = this.#calls.answerLost(this.#canRedial);
    const open = this.#calls.count;
    this.#log.info({ failed, open, error: error === null ? undefined : textOf(error) }, 'link lost');
    if (this.#canRedial && !isPermanent(error)) return void this.#openBack(failed, performance.now());
    if (this.#canRedial) this.#observer.notRedialled?.(lossCause(error));
    this.close({ why: 'back-lost', ...(error === null ? {} : { error }) });
  }

  #checkDrain(): void {
    if (!this.#draining || this.#ended !== null || this.#front.outlet.midFrame) return;
    if (this.#calls.onlyEndless) this.close({ why: 'drained' });
  }
}
