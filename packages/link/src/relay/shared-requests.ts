// SPDX-License-Identifier: Apache-2.0
// What the requests of one downstream need more at an upstream that others use as well: an equal call may be on its way
// already, or its answer here, and a frame is gathered until it is whole. Which requests get this far is decided in
// request-side.ts.
import { HEADER_LENGTH, peekResponseCode, StatusCode } from '@peerpod-tls/ttrpc/relay';
import { answerFor, LARGEST_KEYED, type Adoption } from './adoption.js';
import type { Call, Downstream } from './downstream.js';
import { Gathered } from './gathered.js';
import type { MethodPlan } from './method-plans.js';
import { processIn } from './process-of.js';
import { PASS, PASS_APART, SKIP, STOP } from './scanner.js';
import { slabs } from './slabs.js';
import type { Upstream } from './upstream.js';

/** Bytes of an envelope that also hold the names of the process it is about. */
const NAMED_HEAD = 512;

export class SharedRequests {
  readonly #downstream: Downstream;
  readonly #client: string;
  /** The frame that is being gathered, and the one that is next. */
  #gathered: Gathered | null = null;
  #nextGathered: Gathered | null = null;

  /** `client` is who the calls are of: another connection of the same one may take them over. */
  constructor(downstream: Downstream, client: string) {
    this.#downstream = downstream;
    this.#client = client;
  }

  /** Decides on a request, as `FrameSide.decide` does. */
  decide(
    upstream: Upstream,
    adoption: Adoption,
    plan: MethodPlan,
    streams: boolean,
    now: number,
    bytes: Buffer,
    view: DataView,
    offset: number,
    available: number,
  ): number {
    const total = HEADER_LENGTH + view.getUint32(offset);
    const id = view.getUint32(offset + 4);
    const complete = available === total;
    const keyed = plan.traits.blocks && plan.traits.replay && !streams && total <= LARGEST_KEYED;
    if (keyed && !complete) return total;
    if (plan.begins && !adoption.isEmpty) {
      const named = Math.min(total, HEADER_LENGTH + NAMED_HEAD);
      if (available < named) return named;
      this.noteBeginning(adoption, plan, bytes.subarray(offset + HEADER_LENGTH, offset + available));
    }
    if (!complete) {
      const call = upstream.calls.newCall(this.#downstream, plan, id, 0, now, streams, null, null);
      this.#downstream.begin(call);
      return this.gatherNext(call, total);
    }
    const key = keyed
      ? adoption.keyOf(this.#client, plan, bytes.subarray(offset + HEADER_LENGTH, offset + total))
      : null;
    const adopted = key === null ? null : adoption.adopt(key, this.#downstream, id, now);
    if (adopted?.t === 'answer') {
      this.#answered(plan, id, adopted.frame);
      return SKIP;
    }
    if (adopted?.t === 'adopted' || adopted?.t === 'swapped') {
      this.#downstream.open++;
      this.#downstream.observer.callStarted?.(plan.service, plan.method);
      if (adopted.t === 'adopted') return SKIP;
    }
    const upstreamId = upstream.nextId(id);
    if (upstreamId === 0) return STOP;
    view.setUint32(offset + 4, upstreamId);
    const call = upstream.calls.newCall(this.#downstream, plan, id, upstreamId, now, streams, null, key);
    if (adopted?.t === 'swapped') {
      // It already began, at the connection that asked for it.
      call.owner = adopted.owner;
      call.downstreamId = adopted.downstreamId;
      call.since = adopted.since;
      upstream.sent(call);
    } else {
      upstream.sent(call);
      this.#downstream.begin(call);
    }
    return PASS;
  }

  /** A process begins with this request: what is kept of an earlier one of its name is stale. */
  noteBeginning(adoption: Adoption | null, plan: MethodPlan, envelope: Buffer): void {
    if (plan.begins && adoption?.isEmpty === false) adoption.begins(processIn(envelope));
  }

  /** The frame under decision is not whole and will be gathered; `call` is the one that begins with it. */
  gatherNext(call: Call | null, total: number): number {
    this.#nextGathered = new Gathered(call, total, slabs);
    return PASS_APART;
  }

  /** What is handed on from now on is the frame to gather. */
  apart(): void {
    this.#gathered = this.#nextGathered;
    this.#nextGathered = null;
  }

  /** Takes bytes of the frame that is being gathered, and sends it with its last ones. False when there is none. */
  gather(upstream: Upstream, bytes: Buffer, from: number, to: number, whole: boolean): boolean {
    const gathered = this.#gathered;
    if (gathered === null) return false;
    gathered.add(bytes, from, to);
    if (whole) {
      this.#gathered = null;
      if (gathered.call !== null && !upstream.sentLate(gathered.call, gathered.head)) gathered.drop();
      else gathered.send(upstream.outlet);
    }
    return true;
  }

  /** What was gathered will not be sent. */
  drop(): void {
    this.#gathered?.drop();
    this.#gathered = null;
  }

  /** The answer was here before the question: an earlier link of this client asked, and was gone when it came. */
  #answered(plan: MethodPlan, id: number, frame: Buffer): void {
    const { observer, outlet } = this.#downstream;
    observer.callStarted?.(plan.service, plan.method);
    outlet.insert(answerFor(frame, id));
    observer.bytes?.('response', frame.length);
    plan.ended(peekResponseCode(frame, HEADER_LENGTH) ?? StatusCode.unknown, 0);
  }
}
