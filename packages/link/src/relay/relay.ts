// SPDX-License-Identifier: Apache-2.0
// A relay: frames between one downstream and one upstream, the upstream replaced when it is lost. It owns both streams. What a
// frame means is decided in request-side.ts and response-side.ts, how an upstream is opened in upstream-opener.ts, what becomes of
// open calls in open-calls.ts.
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { isPermanent, LinkError, textOf } from '../errors.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { lossCause } from '../liveness/loss.js';
import { Upstream, type UpstreamPort } from './upstream.js';
import { UpstreamOpener } from './upstream-opener.js';
import { CallTable } from './call-table.js';
import { closedBecause } from './closed-because.js';
import { endSoon, gone } from './end-stream.js';
import { Hold } from './flow.js';
import { Downstream } from './downstream.js';
import { OpenCalls } from './open-calls.js';
import { Park } from './park.js';
import { RequestSide } from './request-side.js';
import { ResponseSide } from './response-side.js';
import { FrameScanner } from './scanner.js';
import type { CloseReason, InFlightCall, Relay, RelayObserver, RelayOptions } from './types.js';

/** Bytes of requests under slow rewrites, above which the downstream is not read. */
const REWRITING_BYTES = 16 * 1024 * 1024;
/** How long an upstream may take to end after the downstream has, in milliseconds. */
const HALF_CLOSE_MS = 5_000;

/** Starts relaying; the upstream is opened at once. See {@link RelayOptions}. */
export function startRelay(options: RelayOptions): Relay {
  return new FrameRelay(options);
}

class FrameRelay implements Relay {
  readonly closed: Promise<CloseReason>;
  readonly #downstream: Downstream;
  readonly #upstreamPort: UpstreamPort;
  readonly #calls: OpenCalls;
  readonly #requests: FrameScanner;
  readonly #requestSide: RequestSide;
  readonly #responseSide: ResponseSide;
  readonly #opener: UpstreamOpener;
  readonly #canRedial: boolean;
  readonly #upstreamName: string;
  readonly #observer: RelayObserver;
  readonly #log: Logger;
  readonly #abort = new AbortController();
  readonly #park = new Park();
  readonly #resolveClosed: (reason: CloseReason) => void;
  #responses: FrameScanner;
  #upstream: Upstream | null = null;
  #downstreamEnded = false;
  #ended: CloseReason | null = null;
  #draining = false;
  #rewritingBytes = 0;
  #halfCloseTimer: NodeJS.Timeout | null = null;

  constructor(o: RelayOptions) {
    this.#downstream = new Downstream(o.downstream, {
      bytes: chunk => this.#onRequestBytes(chunk),
      drained: () => {
        this.#downstream.flow.release(Hold.answers);
        this.#upstream?.flow.release(Hold.full);
      },
      ended: () => this.#onDownstreamEnd(),
      closed: error => this.close({ why: 'downstream-closed', ...(error === undefined ? {} : { error }) }),
    });
    this.#upstreamPort = {
      bytes: (upstream, chunk) => this.#onResponseBytes(upstream, chunk),
      drained: upstream => {
        if (this.#upstream === upstream) this.#downstream.flow.release(Hold.full);
      },
      lost: upstream => this.#onUpstreamLost(upstream),
    };
    this.#canRedial = o.redial !== null;
    this.#upstreamName = o.upstreamName ?? 'the link to the pod VM';
    this.#observer = o.observer ?? {};
    this.#log = o.log;
    const answer = (id: number, status: number, text: string): void => this.#answer(id, status, text);
    const table = new CallTable(o.rewrites);
    this.#requestSide = new RequestSide(
      {
        answer,
        toUpstream: (bytes, whole, more) => this.#toUpstream(bytes, whole, more),
        sendLater: (call, frame) => {
          this.#calls.hold(call, frame);
          this.#calls.sendHeld(this.#upstream);
        },
        rewriting: bytes => this.#rewriting(bytes),
        breakOff: reason => this.#breakOff('downstream-protocol', reason),
      },
      table,
      this.#observer,
      this.#abort.signal,
    );
    this.#responseSide = new ResponseSide(
      {
        answer,
        toDownstream: (bytes, whole, more) => this.#toDownstream(bytes, whole, more),
        breakOff: reason => this.#breakOff('upstream-protocol', reason),
      },
      table,
      this.#observer,
    );
    this.#calls = new OpenCalls(
      table,
      {
        answer,
        send: frame => this.#toUpstream(frame, true, false),
        nextUpstreamId: downstreamId => this.#requestSide.nextUpstreamId(downstreamId),
      },
      this.#observer,
      this.#upstreamName,
    );
    this.#requests = new FrameScanner(this.#requestSide);
    this.#responses = new FrameScanner(this.#responseSide);
    this.#opener = new UpstreamOpener(o.openUpstream, o.redial?.budgetMs ?? null, this.#abort.signal, o.log);
    let resolveClosed: (reason: CloseReason) => void = () => {};
    this.closed = new Promise(resolve => (resolveClosed = resolve));
    this.#resolveClosed = resolveClosed;
    void this.#openUpstream(0, null);
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
    const upstream = this.#upstream;
    this.#upstream = null;
    this.#downstream.outlet.flush();
    upstream?.outlet.flush();
    // Rewrites and dials under way end by this signal; the calls that are open end with the streams.
    this.#abort.abort(closedBecause(reason.why));
    this.#calls.letGo();
    if (upstream !== null) endSoon(upstream.stream);
    this.#downstream.leave();
    void Promise.all([gone(this.#downstream.stream), upstream === null ? null : gone(upstream.stream)]).then(
      () => this.#resolveClosed(reason),
    );
  }

  #onRequestBytes(chunk: Buffer): void {
    if (this.#ended !== null) return;
    const upstream = this.#upstream;
    if (upstream === null) {
      this.#park.add(chunk);
      if (this.#park.full) this.#downstream.flow.hold(Hold.parked);
      return;
    }
    upstream.outlet.begin(chunk);
    this.#requestSide.now = performance.now();
    this.#requests.feed(chunk);
    upstream.outlet.end(chunk);
    this.#calls.sendHeld(upstream);
    if (upstream.outlet.full) this.#downstream.flow.hold(Hold.full);
    if (this.#downstream.outlet.full || this.#downstream.outlet.crowded)
      this.#downstream.flow.hold(Hold.answers);
  }

  #onResponseBytes(upstream: Upstream, chunk: Buffer): void {
    if (this.#upstream !== upstream) return;
    const outlet = this.#downstream.outlet;
    outlet.begin(chunk);
    this.#responseSide.now = performance.now();
    this.#responses.feed(chunk);
    outlet.end(chunk);
    if (outlet.full) upstream.flow.hold(Hold.full);
    else if (!outlet.crowded) this.#downstream.flow.release(Hold.answers);
    if (this.#draining) this.#checkDrain();
  }

  #toUpstream(bytes: Buffer, whole: boolean, more: boolean): void {
    if (this.#upstream === null) return;
    this.#upstream.outlet.pass(bytes, whole, more);
    this.#observer.bytes?.('request', bytes.length);
  }

  #toDownstream(bytes: Buffer, whole: boolean, more: boolean): void {
    this.#downstream.outlet.pass(bytes, whole, more);
    this.#observer.bytes?.('response', bytes.length);
  }

  #answer(downstreamId: number, status: number, text: string): void {
    if (this.#ended !== null) return;
    this.#downstream.answer(downstreamId, status, text);
    if (this.#draining) queueMicrotask(() => this.#checkDrain());
  }

  #rewriting(bytes: number): void {
    this.#rewritingBytes += bytes;
    if (this.#rewritingBytes > REWRITING_BYTES) this.#downstream.flow.hold(Hold.rewrites);
    else this.#downstream.flow.release(Hold.rewrites);
  }

  #breakOff(why: 'downstream-protocol' | 'upstream-protocol', reason: string): void {
    this.#observer.protocolError?.(reason);
    if (why === 'upstream-protocol') this.#observer.upstreamLost?.('protocol');
    this.#log.warn({ reason }, 'relay closed because of what one side sent');
    this.close({ why, error: new LinkError('ERR_LINK_CLOSED', reason) });
  }

  #onDownstreamEnd(): void {
    if (this.#ended !== null) return;
    this.#downstreamEnded = true;
    if (!this.#requests.clean) {
      this.#observer.protocolError?.('the calling side hung up inside a frame');
      this.#log.debug('the calling side hung up inside a frame');
    }
    const upstream = this.#upstream;
    if (upstream === null || !this.#calls.onlyAwaited || !this.#requests.clean)
      return this.close({ why: 'downstream-closed' });
    // The downstream may still read: let the upstream see the end, answer what it will, and end in its turn.
    upstream.stream.end();
    this.#halfCloseTimer = setTimeout(() => this.close({ why: 'downstream-closed' }), HALF_CLOSE_MS);
  }

  async #openUpstream(failed: number, lostAt: number | null): Promise<void> {
    let opened: Duplex | VerifiedPeer;
    try {
      opened = await this.#opener.open();
    } catch (error) {
      if (this.#ended !== null) return;
      this.#log.warn({ error: textOf(error), upstreamName: this.#upstreamName }, 'upstream given up');
      if (lostAt !== null) this.#observer.notRedialled?.(lossCause(error));
      if (!this.#canRedial) this.#refuseParked(textOf(error));
      return this.close({
        why: 'upstream-lost',
        error: error instanceof Error ? error : new Error(String(error)),
      });
    }
    if (this.#ended !== null) return endSoon('peer' in opened ? opened.socket : opened);
    const upstream = new Upstream(opened, this.#upstreamPort);
    this.#upstream = upstream;
    this.#responses = new FrameScanner(this.#responseSide);
    const replayed = this.#calls.replay(upstream);
    if (lostAt !== null) {
      const ms = performance.now() - lostAt;
      this.#observer.redialled?.(ms, replayed, failed);
      this.#log.info({ ms: Math.round(ms), replayed, failed }, 'link redialled');
    }
    for (const chunk of this.#park.empty()) this.#onRequestBytes(chunk);
    this.#downstream.flow.release(Hold.parked);
  }

  /** Answers the calls that came while there was no upstream with why there never will be one. */
  #refuseParked(text: string): void {
    this.#requestSide.refusal = text;
    for (const chunk of this.#park.empty()) this.#requests.feed(chunk);
  }

  #onUpstreamLost(upstream: Upstream): void {
    if (this.#upstream !== upstream || this.#ended !== null) return;
    this.#downstream.outlet.flush();
    upstream.outlet.flush();
    this.#upstream = null;
    upstream.stream.destroy();
    if (upstream.proved) this.#opener.settled();
    const error = upstream.failure();
    if (!this.#downstreamEnded) this.#observer.upstreamLost?.(lossCause(error));
    if (this.#downstream.outlet.midFrame) {
      return this.close({
        why: 'cut-response',
        error: new LinkError('ERR_LINK_CLOSED', 'the upstream was lost inside an answer that was under way'),
      });
    }
    if (this.#downstreamEnded) return this.close({ why: 'downstream-closed' });
    this.#requests.dropRest();
    this.#downstream.flow.release(Hold.full);
    // A shim takes a closed connection for what it is, and a status on a call it would make again for something else.
    const failed = this.#calls.answerLost(this.#canRedial);
    const open = this.#calls.count;
    this.#log.info({ failed, open, error: error === null ? undefined : textOf(error) }, 'link lost');
    if (this.#canRedial && !isPermanent(error)) return void this.#openUpstream(failed, performance.now());
    if (this.#canRedial) this.#observer.notRedialled?.(lossCause(error));
    this.close({ why: 'upstream-lost', ...(error === null ? {} : { error }) });
  }

  #checkDrain(): void {
    if (!this.#draining || this.#ended !== null || this.#downstream.outlet.midFrame) return;
    if (this.#calls.onlyEndless) this.close({ why: 'drained' });
  }
}
