// SPDX-License-Identifier: Apache-2.0
// What is done with each frame from the downstream: which pass, which are kept for sending again, which are rewritten,
// which wait until they are whole, which are answered here. What an upstream that others use asks for besides is in
// shared-requests.ts.
import {
  FrameFlag,
  FrameType,
  HEADER_LENGTH,
  looksLikeTls,
  MAX_MESSAGE_LENGTH,
  peekRequestTarget,
  StatusCode,
  type RequestTarget,
} from '@peerpod-tls/ttrpc/relay';
import { MAX_CALLS } from './call-table.js';
import type { Call, Downstream } from './downstream.js';
import { Hold } from './flow.js';
import type { Lifetime } from './lifetime.js';
import type { MethodPlan, MethodPlans } from './method-plans.js';
import { Park } from './park.js';
import { readTimeoutMs } from './request-timeout.js';
import { rewriteFrame, type RewrittenFrame } from './rewrite-frame.js';
import { PASS, SKIP, STOP, TAKE, type FrameSide } from './scanner.js';
import { SharedRequests } from './shared-requests.js';
import { Strays } from './strays.js';
import type { RewriteContext } from './types.js';
import type { Upstream } from './upstream.js';

/** Bytes of requests under slow rewrites, above which the downstream is not read. */
export const REWRITING_BYTES = 16 * 1024 * 1024;
/** Bytes of an envelope that hold the names of any request in use; the first guess when a head is too short. */
const HEAD_GUESS = 256;
/** When the names are not in this many bytes, the request is collected whole to find them. */
const HEAD_LIMIT = 4096;
/** Whom an envelope is for that is none. */
const NOBODY: RequestTarget = { service: '', method: '' };

export interface RequestSideOptions {
  readonly downstream: Downstream;
  readonly plans: MethodPlans;
  /** Who the calls are of, where another connection of the same client may take them over. */
  readonly client: string;
  /** The relay's. */
  readonly life: Lifetime;
  /** The downstream speaks something else; the relay ends. */
  breakOff(reason: string): void;
}

export class RequestSide implements FrameSide {
  readonly #downstream: Downstream;
  readonly #plans: MethodPlans;
  readonly #life: Lifetime;
  readonly #breakOff: (reason: string) => void;
  readonly #strays: Strays;
  readonly #shared: SharedRequests;
  readonly #park = new Park();
  #upstream: Upstream | null = null;
  #greeted = false;
  #lastId = 0;
  /** `performance.now()` at the chunk under way: one reading of the clock for all its requests. */
  #now = 0;
  /** Set once, when there will be no more calls: the text they are answered with. */
  #refusal: string | null = null;
  /** The last target seen and its plan: most requests on a connection follow one of their own kind. */
  #lastTarget: RequestTarget | null = null;
  #lastPlan: MethodPlan | null = null;
  #rewritingBytes = 0;
  /** Chunks scanned so far: what did not grow did not go on. */
  chunks = 0;
  /** Requests that were held up by a rewrite and wait for a place between two frames, or for an upstream. */
  #ready: { call: Call; frame: Buffer }[] = [];

  constructor(o: RequestSideOptions) {
    this.#downstream = o.downstream;
    this.#plans = o.plans;
    this.#life = o.life;
    this.#breakOff = o.breakOff;
    this.#shared = new SharedRequests(o.downstream, o.client);
    this.#strays = new Strays(o.downstream.observer, reason => o.breakOff(reason));
  }

  /** From now on calls go to this one; with null they wait for the next. */
  set upstream(upstream: Upstream | null) {
    this.#upstream = upstream;
    this.#shared.drop();
  }

  /** Answers all calls to come with this. */
  refuse(text: string): void {
    this.#refusal = text;
  }

  /** What came while there was no upstream, to be scanned now. */
  unpark(): Buffer[] {
    return this.#park.empty();
  }

  begin(bytes: Buffer, length: number): boolean {
    const upstream = this.#upstream;
    if (upstream === null) {
      if (this.#refusal !== null) return true;
      this.#park.add(bytes, length);
      if (this.#park.full) this.#downstream.flow.hold(Hold.parked);
      return false;
    }
    upstream.outlet.begin(length);
    this.#now = performance.now();
    this.chunks++;
    return true;
  }

  end(length: number): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    const { flow, outlet } = this.#downstream;
    upstream.outlet.end(length);
    if (this.#ready.length > 0) this.sendReady();
    if (upstream.outlet.full) flow.hold(Hold.full);
    if (outlet.full || outlet.crowded) flow.hold(Hold.answers);
  }

  decide(bytes: Buffer, view: DataView, offset: number, length: number, available: number): number {
    const id = view.getUint32(offset + 4);
    const type = bytes[offset + 8];
    if (!this.#greeted) {
      this.#greeted = true;
      if (looksLikeTls(bytes.subarray(offset, offset + available))) {
        // Any frame tells a TLS client at once what it met; a mere hang-up would make it dial again and again.
        this.#downstream.answer(1, StatusCode.failedPrecondition, 'this end speaks plain ttrpc, not TLS');
        this.#protocolError('the peer speaks TLS to a plain ttrpc end');
        this.#breakOff('the peer speaks TLS to a plain ttrpc end');
        return STOP;
      }
    }
    if (length > MAX_MESSAGE_LENGTH) return this.#oversize(id, type, length);
    if (type === FrameType.request) return this.#request(bytes, view, offset, available, length, id);
    if (type === FrameType.data) return this.#data(bytes, view, offset, available, length, id);
    return this.#strays.add(
      'a frame of an unexpected type from the calling side',
      Math.max(length, HEADER_LENGTH),
    );
  }

  apart(): void {
    this.#shared.apart();
  }

  take(frame: Buffer): void {
    const id = frame.readUInt32BE(4);
    const envelope = frame.subarray(HEADER_LENGTH);
    const upstream = this.#upstream;
    if (upstream === null) return;
    const result = peekRequestTarget(envelope, true);
    const plan = this.#planOf(result.t === 'target' ? result.target : NOBODY);
    this.#lastId = id;
    const { calls } = upstream;
    const call = calls.newCall(this.#downstream, plan, id, 0, this.#now, false, null, null);
    this.#downstream.begin(call);
    this.#shared.noteBeginning(calls.adoption, plan, envelope);
    const own = Buffer.from(frame);
    if (plan.rewrite === null) return this.#rewritten(call, { t: 'frame', frame: own });
    const outcome = rewriteFrame(own, plan.rewrite, this.#contextOf(plan, own));
    if (!(outcome instanceof Promise)) return this.#rewritten(call, outcome);
    this.#rewriting(own.length);
    void outcome.then(rewritten => {
      this.#rewriting(-own.length);
      this.#rewritten(call, rewritten);
    });
  }

  forward(bytes: Buffer, from: number, to: number, whole: boolean, more: boolean): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    this.#downstream.observer.bytes?.('request', to - from);
    if (this.#shared.gather(upstream, bytes, from, to, whole)) return;
    upstream.outlet.pass(bytes, from, to, whole, more);
  }

  /** Sends what was held up, as far as a frame may begin at the upstream. */
  sendReady(): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    while (this.#ready.length > 0 && !upstream.outlet.midFrame) {
      const next = this.#ready.shift();
      if (next === undefined || !upstream.sentLate(next.call, next.frame)) return;
      const { length } = next.frame;
      upstream.outlet.pass(next.frame, 0, length, true, false);
      this.#downstream.observer.bytes?.('request', length);
    }
  }

  #request(
    bytes: Buffer,
    view: DataView,
    offset: number,
    available: number,
    length: number,
    id: number,
  ): number {
    if ((id & 1) === 0) return this.#wrongId(id, `stream id ${id} must be odd`);
    if (id <= this.#lastId) return this.#wrongId(id, `stream id ${id} was used before; ids must rise`);
    const upstream = this.#upstream;
    if (this.#refusal !== null || upstream === null)
      return this.#refuseNew(id, StatusCode.unavailable, this.#refusal ?? 'there is no upstream');
    const { calls } = upstream;
    const { adoption } = calls;
    if (this.#downstream.open >= MAX_CALLS || calls.size >= 2 * MAX_CALLS) return this.#tooMany(id);
    const total = HEADER_LENGTH + length;
    const complete = available === total;
    const result = peekRequestTarget(bytes, complete, offset + HEADER_LENGTH, offset + available);
    if (result.t === 'more') {
      const wanted = available < HEAD_LIMIT ? Math.max(HEADER_LENGTH + HEAD_GUESS, available * 2) : total;
      return Math.min(total, wanted);
    }
    // Bytes that are no request are the server's to refuse; its answer finds its way back by the table.
    const plan = this.#planOf(result.t === 'target' ? result.target : NOBODY);
    if (plan.rewrite !== null) return complete ? TAKE : total;
    const streams = ((bytes[offset + 9] ?? 0) & FrameFlag.remoteOpen) !== 0;
    if (adoption !== null) {
      const decision = this.#shared.decide(
        upstream,
        adoption,
        plan,
        streams,
        this.#now,
        bytes,
        view,
        offset,
        available,
      );
      if (decision < 0) this.#lastId = id;
      return decision;
    }
    const keep = !streams && calls.wouldKeep(plan, total);
    if (keep && !complete) return total;
    this.#lastId = id;
    const upstreamId = upstream.nextId(id);
    if (upstreamId === 0) return STOP;
    if (upstreamId !== id) view.setUint32(offset + 4, upstreamId);
    const kept = keep ? Buffer.from(bytes.subarray(offset, offset + total)) : null;
    const call = calls.newCall(this.#downstream, plan, id, upstreamId, this.#now, streams, kept, null);
    upstream.sent(call);
    this.#downstream.begin(call);
    return PASS;
  }

  #planOf(target: RequestTarget): MethodPlan {
    if (target === this.#lastTarget && this.#lastPlan !== null) return this.#lastPlan;
    this.#lastTarget = target;
    this.#lastPlan = this.#plans.of(target.service, target.method);
    return this.#lastPlan;
  }

  #data(
    bytes: Buffer,
    view: DataView,
    offset: number,
    available: number,
    length: number,
    id: number,
  ): number {
    const call = this.#downstream.streaming(id);
    const upstream = this.#upstream;
    if (call === undefined || upstream === null)
      return this.#wrongId(id, `stream ${id} is not open for data`);
    if (call.upstreamId !== id) view.setUint32(offset + 4, call.upstreamId);
    if (((bytes[offset + 9] ?? 0) & FrameFlag.remoteClosed) !== 0) {
      call.streams = false;
      this.#downstream.endStreaming(id);
      if (call.answered) upstream.calls.remove(call);
    }
    const total = HEADER_LENGTH + length;
    if (upstream.calls.adoption === null || available === total) return PASS;
    return this.#shared.gatherNext(null, total);
  }

  #oversize(id: number, type: number | undefined, length: number): number {
    if (type === FrameType.request && id > this.#lastId) this.#lastId = id;
    const text = `message of ${length} bytes is over the limit of ${MAX_MESSAGE_LENGTH}`;
    this.#downstream.answer(id, StatusCode.resourceExhausted, text);
    return this.#strays.add('an oversized frame from the calling side', length);
  }

  #wrongId(id: number, text: string): number {
    this.#protocolError('a stream id the calling side may not use');
    this.#downstream.answer(id, StatusCode.invalidArgument, text);
    return SKIP;
  }

  #tooMany(id: number): number {
    const text = `${MAX_CALLS} calls are open on this connection, or twice as many in all`;
    return this.#refuseNew(id, StatusCode.resourceExhausted, text);
  }

  #refuseNew(id: number, status: number, text: string): number {
    this.#lastId = id;
    this.#downstream.answer(id, status, text);
    return SKIP;
  }

  #protocolError(reason: string): void {
    this.#downstream.observer.protocolError?.(reason);
  }

  #contextOf(plan: MethodPlan, frame: Buffer): RewriteContext {
    const timeoutMs = readTimeoutMs(frame.subarray(HEADER_LENGTH));
    return { service: plan.service, method: plan.method, signal: this.#life.signal, timeoutMs };
  }

  #rewriting(bytes: number): void {
    this.#rewritingBytes += bytes;
    if (this.#rewritingBytes > REWRITING_BYTES) this.#downstream.flow.hold(Hold.rewrites);
    else this.#downstream.flow.release(Hold.rewrites);
  }

  #rewritten(call: Call, rewritten: RewrittenFrame): void {
    if (this.#life.over) return;
    if (rewritten.t === 'frame') {
      this.#ready.push({ call, frame: rewritten.frame });
      return this.sendReady();
    }
    const { plan, since, downstreamId } = call;
    this.#downstream.forget(call);
    plan.ended(rewritten.status, performance.now() - since);
    this.#downstream.answer(downstreamId, rewritten.status, rewritten.text);
  }
}
