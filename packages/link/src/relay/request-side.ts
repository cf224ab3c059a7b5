// SPDX-License-Identifier: Apache-2.0
// What a relay does with each frame from its downstream: which pass, which are kept for sending again, which are rewritten,
// which are answered here. Writes to no stream itself.
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
import { MAX_CALLS, type Call, type CallTable, type MethodPlan } from './call-table.js';
import { rewriteFrame, type RewrittenFrame } from './rewrite-frame.js';
import { readTimeoutMs } from './request-timeout.js';
import { PASS, SKIP, STOP, TAKE, type FrameJudge } from './scanner.js';
import type { RelayObserver } from './types.js';

/** What the downstream's frames may cause. */
export interface RequestPort {
  /** Answers a stream of the downstream with a status. */
  answer(downstreamId: number, status: number, text: string): void;
  /** Hands bytes on to the upstream; see {@link FrameJudge}. */
  toUpstream(bytes: Buffer, whole: boolean, more: boolean): void;
  /** Sends a request that was held up, as soon as a frame may begin at the upstream, under an id of its own. */
  sendLater(call: Call, frame: Buffer): void;
  /** A rewrite took or returned this many bytes of memory. */
  rewriting(bytes: number): void;
  /** The downstream speaks something else; the relay ends. */
  breakOff(reason: string): void;
}

/** Bytes of an envelope that hold the names of any request in use; the first guess when a head is too short. */
const HEAD_GUESS = 256;
/** When the names are not in this many bytes, the request is collected whole to find them. */
const HEAD_LIMIT = 4096;
const LARGEST_ID = 0xffffffff;
/** Whom an envelope is for that is none. */
const NOBODY: RequestTarget = { service: '', method: '' };

export class RequestSide implements FrameJudge {
  readonly #port: RequestPort;
  readonly #table: CallTable;
  readonly #observer: RelayObserver;
  readonly #signal: AbortSignal;
  #greeted = false;
  #lastDownstreamId = 0;
  #lastUpstreamId = 0;
  /** Set once, when the relay drains: the text new calls are answered with. */
  refusal: string | null = null;
  /** `performance.now()` at the chunk being judged: one reading of the clock for all its requests. */
  now = 0;
  /** The last target seen and its plan: most requests on a connection follow one of their own kind. */
  #lastTarget: RequestTarget | null = null;
  #lastPlan: MethodPlan | null = null;

  constructor(port: RequestPort, table: CallTable, observer: RelayObserver, signal: AbortSignal) {
    this.#port = port;
    this.#table = table;
    this.#observer = observer;
    this.#signal = signal;
  }

  judge(bytes: Buffer, offset: number, available: number): number {
    const length = bytes.readUInt32BE(offset);
    const id = bytes.readUInt32BE(offset + 4);
    const type = bytes[offset + 8];
    if (!this.#greeted) {
      this.#greeted = true;
      if (looksLikeTls(bytes.subarray(offset, offset + available))) {
        // Any frame tells a TLS client at once what it met; a mere hang-up would make it dial again and again.
        this.#port.answer(1, StatusCode.failedPrecondition, 'this end speaks plain ttrpc, not TLS');
        this.#port.breakOff('the peer speaks TLS to a plain ttrpc end');
        return STOP;
      }
    }
    if (length > MAX_MESSAGE_LENGTH) return this.#oversize(id, type, length);
    if (type === FrameType.request) return this.#request(bytes, offset, available, length, id);
    if (type === FrameType.data) return this.#data(bytes, offset, id);
    this.#observer.protocolError?.('a frame of an unexpected type from the calling side');
    return SKIP;
  }

  take(frame: Buffer): void {
    const id = frame.readUInt32BE(4);
    const result = peekRequestTarget(frame.subarray(HEADER_LENGTH), true);
    const plan = this.#planOf(result.t === 'target' ? result.target : NOBODY);
    this.#lastDownstreamId = id;
    // Until it is sent it has no id at the upstream; a negative one keeps it apart from those that have.
    const call: Call = {
      plan,
      downstreamId: id,
      upstreamId: -id,
      since: performance.now(),
      kept: null,
      sent: false,
    };
    this.#table.add(call);
    this.#observer.callStarted?.(plan.service, plan.method);
    const own = Buffer.from(frame);
    if (plan.rewrite === null) return this.#rewritten(call, { t: 'frame', frame: own });
    const outcome = rewriteFrame(own, plan.rewrite, this.#contextOf(plan, own));
    if (!(outcome instanceof Promise)) return this.#rewritten(call, outcome);
    this.#port.rewriting(own.length);
    void outcome.then(rewritten => {
      this.#port.rewriting(-own.length);
      this.#rewritten(call, rewritten);
    });
  }

  forward(bytes: Buffer, whole: boolean, more: boolean): void {
    this.#port.toUpstream(bytes, whole, more);
  }

  /** The next id that rises at the upstream: the downstream's own as long as no call was overtaken. */
  nextUpstreamId(downstreamId: number): number {
    const id = downstreamId > this.#lastUpstreamId ? downstreamId : this.#lastUpstreamId + 2;
    if (id > LARGEST_ID) this.#port.breakOff('stream ids are used up');
    this.#lastUpstreamId = Math.min(id, LARGEST_ID);
    return this.#lastUpstreamId;
  }

  #request(bytes: Buffer, offset: number, available: number, length: number, id: number): number {
    if (id % 2 === 0) return this.#refuse(id, StatusCode.invalidArgument, `stream id ${id} must be odd`);
    if (id <= this.#lastDownstreamId)
      return this.#refuse(id, StatusCode.invalidArgument, `stream id ${id} was used before; ids must rise`);
    if (this.refusal !== null) return this.#refuseNew(id, StatusCode.unavailable, this.refusal);
    if (this.#table.size >= MAX_CALLS)
      return this.#refuseNew(
        id,
        StatusCode.resourceExhausted,
        `${MAX_CALLS} calls are open on this connection`,
      );
    const total = HEADER_LENGTH + length;
    const complete = available === total;
    const head = bytes.subarray(offset + HEADER_LENGTH, offset + available);
    const result = peekRequestTarget(head, complete);
    if (result.t === 'more') {
      const wanted = head.length < HEAD_LIMIT ? Math.max(HEADER_LENGTH + HEAD_GUESS, available * 2) : total;
      return Math.min(total, wanted);
    }
    // Bytes that are no request are the server's to refuse; its answer finds its way upstream by the table.
    const plan = this.#planOf(result.t === 'target' ? result.target : NOBODY);
    if (plan.rewrite !== null) return complete ? TAKE : total;
    const keep =
      this.#table.wouldKeep(plan, total) && ((bytes[offset + 9] ?? 0) & FrameFlag.remoteOpen) === 0;
    if (keep && !complete) return total;
    this.#lastDownstreamId = id;
    const upstreamId = this.nextUpstreamId(id);
    if (upstreamId !== id) bytes.writeUInt32BE(upstreamId, offset + 4);
    const kept = keep ? Buffer.from(bytes.subarray(offset, offset + total)) : null;
    this.#table.add({ plan, downstreamId: id, upstreamId, since: this.now, kept, sent: true });
    this.#observer.callStarted?.(plan.service, plan.method);
    return PASS;
  }

  #planOf(target: RequestTarget): MethodPlan {
    if (target === this.#lastTarget && this.#lastPlan !== null) return this.#lastPlan;
    this.#lastTarget = target;
    this.#lastPlan = this.#table.plan(target.service, target.method);
    return this.#lastPlan;
  }

  #data(bytes: Buffer, offset: number, id: number): number {
    const call = this.#table.byDownstream(id);
    if (call === undefined || !call.sent)
      return this.#refuse(id, StatusCode.invalidArgument, `stream ${id} is not open for data`);
    if (call.upstreamId !== id) bytes.writeUInt32BE(call.upstreamId, offset + 4);
    return PASS;
  }

  #oversize(id: number, type: number | undefined, length: number): number {
    if (type === FrameType.request && id > this.#lastDownstreamId) this.#lastDownstreamId = id;
    const text = `message of ${length} bytes is over the limit of ${MAX_MESSAGE_LENGTH}`;
    return this.#refuse(id, StatusCode.resourceExhausted, text, 'an oversized frame from the calling side');
  }

  #refuse(
    id: number,
    status: number,
    text: string,
    reason = 'a stream id the calling side may not use',
  ): number {
    this.#observer.protocolError?.(reason);
    this.#port.answer(id, status, text);
    return SKIP;
  }

  #refuseNew(id: number, status: number, text: string): number {
    this.#lastDownstreamId = id;
    this.#port.answer(id, status, text);
    return SKIP;
  }

  #contextOf(
    plan: MethodPlan,
    frame: Buffer,
  ): { service: string; method: string; signal: AbortSignal; timeoutMs: number | null } {
    const timeoutMs = readTimeoutMs(frame.subarray(HEADER_LENGTH));
    return { service: plan.service, method: plan.method, signal: this.#signal, timeoutMs };
  }

  #rewritten(call: Call, rewritten: RewrittenFrame): void {
    if (this.#signal.aborted) return;
    if (rewritten.t === 'frame') return this.#port.sendLater(call, rewritten.frame);
    this.#table.remove(call);
    this.#observer.callEnded?.(
      call.plan.service,
      call.plan.method,
      rewritten.status,
      performance.now() - call.since,
    );
    this.#port.answer(call.downstreamId, rewritten.status, rewritten.text);
  }
}
