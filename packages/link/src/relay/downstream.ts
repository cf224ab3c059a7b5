// SPDX-License-Identifier: Apache-2.0
// The near end of a relay, as long as the relay lives: its stream, the calls it has open, how it is answered and how it is
// left. What its frames mean is decided in request-side.ts.
import type { Duplex } from 'node:stream';
import { encodeFrame, encodeResponse, FrameType } from '@peerpod-tls/ttrpc/relay';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { endSoon, streamOf } from './end-stream.js';
import { Flow } from './flow.js';
import type { MethodPlan } from './method-plans.js';
import { Outlet } from './outlet.js';
import { isResumable, type RelayStream } from './relay-stream.js';
import type { LentReads, RelayObserver } from './types.js';

/** One call of a downstream. Made by call-table.ts, which uses it again once it has ended. */
export interface Call {
  plan: MethodPlan;
  /** Who is answered; null once it has gone, when the answer still has to be told from one that nobody asked for. */
  owner: Downstream | null;
  /** The stream id the downstream knows. */
  downstreamId: number;
  /** The stream id the upstream knows; 0 as long as a rewrite, a slow sender or a redial holds the request here. */
  upstreamId: number;
  /** `performance.now()` at the request. */
  since: number;
  /** The whole request frame, for methods that may run twice. */
  kept: Buffer | null;
  /** By what an equal call is known; null where none may take its answer. See adoption.ts. */
  key: string | null;
  /** Whether the caller sends data frames on it, and may send more. */
  streams: boolean;
  /** The upstream has said its last on it, and the caller has not. */
  answered: boolean;
}

export class Downstream {
  readonly stream: RelayStream;
  readonly outlet: Outlet;
  readonly flow: Flow;
  readonly observer: RelayObserver;
  /** Calls that are not answered, sent or not. */
  open = 0;
  #unsent: Set<Call> | null = null;
  #streams: Map<number, Call> | null = null;
  /** Set while somebody waits for calls to end: told after each run of answers. */
  onAnswered: (() => void) | null = null;

  constructor(end: Duplex | VerifiedPeer | LentReads, observer: RelayObserver) {
    this.stream = streamOf(end);
    this.outlet = new Outlet(this.stream);
    this.flow = new Flow(this.stream);
    this.observer = observer;
  }

  /** Whether it is a session that has no connection at the moment. */
  get away(): boolean {
    return isResumable(this.stream) && this.stream.away;
  }

  /** Calls that are not sent: a rewrite, a slow sender or a missing upstream holds them. */
  get unsent(): ReadonlySet<Call> {
    return this.#unsent ?? NONE_UNSENT;
  }

  /** The open call that takes data frames under this id of the downstream's own. */
  streaming(id: number): Call | undefined {
    return this.#streams?.get(id);
  }

  /** The caller has sent its last data frame on this id. */
  endStreaming(id: number): void {
    this.#streams?.delete(id);
  }

  /** Answers one of its streams with a status, as soon as a frame may begin. */
  answer(downstreamId: number, status: number, text: string): void {
    const response = encodeResponse({
      status: { code: status, message: text, details: [] },
      payload: new Uint8Array(0),
    });
    this.outlet.insert(encodeFrame({ streamId: downstreamId, type: FrameType.response }, response));
    if (this.onAnswered !== null) queueMicrotask(() => this.onAnswered?.());
  }

  /** A call began. */
  begin(call: Call): void {
    this.open++;
    if (call.upstreamId === 0) (this.#unsent ??= new Set()).add(call);
    else if (call.streams) this.#streamOn(call);
    this.observer.callStarted?.(call.plan.service, call.plan.method);
  }

  /** A call that was held up has been sent. */
  sent(call: Call): void {
    this.#unsent?.delete(call);
    if (call.streams) this.#streamOn(call);
  }

  /** A call is nobody's business any more, or another downstream's. Whoever calls this tells the observer. */
  forget(call: Call): void {
    if (!call.answered) this.open--;
    if (call.upstreamId === 0) this.#unsent?.delete(call);
    else if (call.streams) this.#streams?.delete(call.downstreamId);
  }

  /** Ends it kindly, save inside a response: one that cannot be completed must not look like one, so the stream is cut. */
  leave(): void {
    if (this.outlet.midFrame) this.stream.destroy();
    else endSoon(this.stream);
  }

  #streamOn(call: Call): void {
    (this.#streams ??= new Map()).set(call.downstreamId, call);
  }
}

/** Most downstreams never hold a call up, nor have one that streams: what they would need for it is made when they do. */
const NONE_UNSENT: ReadonlySet<Call> = new Set();
