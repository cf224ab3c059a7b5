// SPDX-License-Identifier: Apache-2.0
// What is done with each frame from the upstream: whose call it answers, under which id it goes there, and what nobody
// asked for.
import {
  FrameFlag,
  FrameType,
  HEADER_LENGTH,
  looksLikeTls,
  MAX_MESSAGE_LENGTH,
  peekResponseCode,
  StatusCode,
} from '@peerpod-tls/ttrpc/relay';
import type { CallTable } from './call-table.js';
import type { Call, Downstream } from './downstream.js';
import { PASS, PASS_APART, SKIP, STOP, TAKE, type FrameSide } from './scanner.js';
import { Strays } from './strays.js';
import type { AgentEnd, RelayObserver } from './types.js';

/**
 * Largest frame that is handed to the downstream only once it is here whole, in bytes.
 *
 * Once the head of a response is written to the downstream, the rest must follow or its framing is broken: nothing
 * can be put in its place, since the length is promised and a filled-up message would read as a good one. So when the
 * upstream is lost inside such a frame, the downstream has to be closed. Up to this size it cannot happen; it covers what
 * an agent answers in ordinary life (output is read in pieces of 32 KiB). Larger ones flow as they come.
 */
export const WHOLE_RESPONSE_BYTES = 64 * 1024;

/** Bytes in which a response's status code is found when it has one. */
const STATUS_HEAD = HEADER_LENGTH + 32;

export interface ResponseSideOptions {
  readonly calls: CallTable;
  readonly agentEnd: AgentEnd;
  /** Told of what the upstream may not send. */
  readonly observer: RelayObserver;
  /** All that a chunk, or a run of one, brought for this downstream has been written to it. */
  settle(downstream: Downstream): void;
  /** The upstream speaks something else; it is ended. */
  breakOff(reason: string): void;
}

export class ResponseSide implements FrameSide {
  readonly #o: ResponseSideOptions;
  readonly #strays: Strays;
  /** `performance.now()` at the chunk under way: one reading of the clock for all its responses. */
  #now = 0;
  #chunkLength = 0;
  /** Whom the frames go to that are handed on now, and from the next one that is apart. */
  #to: Downstream | null = null;
  #next: Downstream | null = null;
  /** The call whose answer is taken, for nobody yet. */
  #orphan: Call | null = null;

  constructor(o: ResponseSideOptions) {
    this.#o = o;
    this.#strays = new Strays(o.observer, reason => o.breakOff(reason));
  }

  /** All frames go to this one until others are there. */
  aim(downstream: Downstream): void {
    this.#to = downstream;
  }

  /** It has gone: what is still under way for it is dropped. */
  forget(downstream: Downstream): void {
    if (this.#to === downstream) this.#to = null;
    if (this.#next === downstream) this.#next = null;
  }

  begin(_bytes: Buffer, length: number): boolean {
    this.#now = performance.now();
    this.#chunkLength = length;
    this.#to?.outlet.begin(length);
    return true;
  }

  decide(bytes: Buffer, view: DataView, offset: number, length: number, available: number): number {
    const id = view.getUint32(offset + 4);
    const type = bytes[offset + 8];
    const call = this.#o.calls.byUpstream(id);
    if (length > MAX_MESSAGE_LENGTH) {
      if (!looksLikeTls(bytes.subarray(offset, offset + available))) return this.#oversize(call, length);
      const reason = 'the called side speaks TLS to a plain link';
      this.#o.observer.protocolError?.(reason);
      this.#o.breakOff(reason);
      return STOP;
    }
    const total = HEADER_LENGTH + length;
    if (type !== FrameType.response && type !== FrameType.data)
      return this.#strays.add('a frame of an unexpected type from the called side', total);
    if (call === undefined || call.answered) return this.#strays.add('an answer nobody asked for', total);
    if (available < total && total <= WHOLE_RESPONSE_BYTES) return total;
    if (call.owner === null && this.#o.calls.adoption?.findOwner(call) !== true)
      return this.#forNobody(call, type, total, bytes[offset + 9] ?? 0);
    if (available < STATUS_HEAD && available < total) return STATUS_HEAD;
    if (call.downstreamId !== id) view.setUint32(offset + 4, call.downstreamId);
    const to = call.owner;
    if (type === FrameType.response) this.#end(call, bytes, offset + HEADER_LENGTH, offset + available);
    else if (((bytes[offset + 9] ?? 0) & FrameFlag.remoteClosed) !== 0) this.#closed(call);
    if (to === this.#to) return PASS;
    this.#next = to;
    return PASS_APART;
  }

  apart(): void {
    if (this.#to !== null) this.#settle(this.#to);
    this.#to = this.#next;
    this.#next = null;
    this.#to?.outlet.begin(this.#chunkLength);
  }

  take(frame: Buffer): void {
    const call = this.#orphan;
    this.#orphan = null;
    if (call !== null) this.#o.calls.adoption?.keep(call, Buffer.from(frame), this.#now);
  }

  forward(bytes: Buffer, from: number, to: number, whole: boolean, more: boolean): void {
    const downstream = this.#to;
    if (downstream === null) return;
    downstream.outlet.pass(bytes, from, to, whole, more);
    downstream.observer.bytes?.('response', to - from);
  }

  end(): void {
    if (this.#to !== null) this.#settle(this.#to);
  }

  #settle(to: Downstream): void {
    to.outlet.end(this.#chunkLength);
    this.#o.settle(to);
  }

  /** A response ends the call, whatever the caller may still want to send. */
  #end(call: Call, bytes: Buffer, from: number, to: number): void {
    const { plan, owner, since } = call;
    this.#o.calls.remove(call);
    const status = peekResponseCode(bytes, from, to) ?? StatusCode.unknown;
    if (plan.last && status !== StatusCode.ok) this.#o.agentEnd.near = false;
    if (owner !== null) plan.ended(status, this.#now - since);
    this.#o.calls.reuse(call);
  }

  /** A stream of both ways has its id as long as one of them is open. */
  #closed(call: Call): void {
    const { owner, plan } = call;
    if (call.streams && owner !== null) {
      call.answered = true;
      owner.open--;
    } else this.#o.calls.remove(call);
    if (owner !== null) plan.ended(StatusCode.ok, this.#now - call.since);
  }

  #forNobody(call: Call, type: number, total: number, flags: number): number {
    if (type === FrameType.data && (flags & FrameFlag.remoteClosed) === 0) return SKIP;
    this.#o.calls.remove(call);
    if (call.key === null || type !== FrameType.response || total > WHOLE_RESPONSE_BYTES) return SKIP;
    this.#orphan = call;
    return TAKE;
  }

  #oversize(call: Call | undefined, length: number): number {
    if (call !== undefined && !call.answered) {
      const { owner, plan } = call;
      this.#o.calls.remove(call);
      if (owner !== null) plan.ended(StatusCode.resourceExhausted, this.#now - call.since);
      const text = `the answer of ${length} bytes is over the limit of ${MAX_MESSAGE_LENGTH}`;
      owner?.answer(call.downstreamId, StatusCode.resourceExhausted, text);
    }
    return this.#strays.add('an oversized frame from the called side', length);
  }
}
