// SPDX-License-Identifier: Apache-2.0
// The calls that are on their way to one upstream, by the id they have there, and the ids that are given out. One table is
// the truth: a call leaves it in one function. No sockets, and no frames' bytes except the requests kept for sending again.
import type { Adoption } from './adoption.js';
import type { Call, Downstream } from './downstream.js';
import type { MethodPlan } from './method-plans.js';

/** Largest request kept for sending again, and all of them together, per relay. Replayable requests are tiny. */
export const KEPT_CALL_BYTES = 64 * 1024;
export const KEPT_ALL_BYTES = 1024 * 1024;

/** Open calls a relay carries; a shim has a handful per container. Beyond, a call is answered ResourceExhausted. */
export const MAX_CALLS = 8192;

const LARGEST_ID = 0xffffffff;

export class CallTable {
  /**
   * By the low bits of the upstream id, since ids follow each other; those that find their slot taken are in the map. A map
   * alone costs three times as much per call, and its cast-off tables keep dead calls alive for the garbage collector.
   */
  readonly #slots: (Call | null)[] = [];
  #others: Map<number, Call> | null = null;
  readonly #spare: Call[] = [];
  #size = 0;
  /** Set when several downstreams send calls; then ids are dealt out one after the other. */
  readonly adoption: Adoption | null;
  #keptBytes = 0;
  #lastId: number;

  /** @param lastId The id before the first; -1 for a connection that nothing was sent on. */
  constructor(adoption: Adoption | null, lastId = -1) {
    this.adoption = adoption;
    this.#lastId = lastId;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * The next id that rises at the upstream. An upstream of one downstream sees its own ids as long as no call was
   * overtaken; one of several must not let any of them use up the ids of all.
   * @returns 0 when there are no more
   */
  nextId(downstreamId: number): number {
    const id = this.adoption === null && downstreamId > this.#lastId ? downstreamId : this.#lastId + 2;
    if (id > LARGEST_ID) return 0;
    this.#lastId = id;
    return id;
  }

  /** Whether a request of this size is to be kept whole, so that it can be sent again. */
  wouldKeep(plan: MethodPlan, bytes: number): boolean {
    return plan.traits.replay && bytes <= KEPT_CALL_BYTES && this.#keptBytes + bytes <= KEPT_ALL_BYTES;
  }

  /** A call of this downstream, which has yet to begin. `upstreamId` is 0 as long as the request is held here. */
  newCall(
    owner: Downstream,
    plan: MethodPlan,
    downstreamId: number,
    upstreamId: number,
    since: number,
    streams: boolean,
    kept: Buffer | null,
    key: string | null,
  ): Call {
    const call = this.#spare.pop();
    if (call === undefined)
      return { plan, owner, downstreamId, upstreamId, since, kept, key, streams, answered: false };
    call.plan = plan;
    call.owner = owner;
    call.downstreamId = downstreamId;
    call.upstreamId = upstreamId;
    call.since = since;
    call.kept = kept;
    call.key = key;
    call.streams = streams;
    call.answered = false;
    return call;
  }

  /** Takes back a call that was removed and that nobody knows any more: the next one is made of it. */
  reuse(call: Call): void {
    if (this.#spare.length < SLOTS) this.#spare.push(call);
  }

  /** A call that was given its upstream id. */
  add(call: Call): void {
    const slot = slotOf(call.upstreamId);
    if ((this.#slots[slot] ?? null) === null) this.#slots[slot] = call;
    else (this.#others ??= new Map()).set(call.upstreamId, call);
    this.#size++;
    this.adoption?.sent(call);
    if (call.kept !== null) this.#keptBytes += call.kept.length;
  }

  byUpstream(upstreamId: number): Call | undefined {
    const call = this.#slots[slotOf(upstreamId)];
    if (call?.upstreamId === upstreamId) return call;
    return this.#others === null || this.#others.size === 0 ? undefined : this.#others.get(upstreamId);
  }

  remove(call: Call): void {
    const slot = slotOf(call.upstreamId);
    if (this.#slots[slot] === call) this.#slots[slot] = null;
    else if (this.#others?.delete(call.upstreamId) !== true) return;
    this.#size--;
    this.adoption?.over(call);
    if (call.kept !== null) this.#keptBytes -= call.kept.length;
    call.owner?.forget(call);
  }

  /** All calls that were sent, or those of one downstream, oldest first. A copy: entries may be removed while walking it. */
  sent(owner?: Downstream): Call[] {
    const all = [...this.#slots.filter(call => call !== null), ...(this.#others?.values() ?? [])];
    const mine = owner === undefined ? all : all.filter(call => call.owner === owner);
    // Ids rise, so their order is the order of sending.
    return mine.toSorted((a, b) => a.upstreamId - b.upstreamId);
  }
}

/** Calls a connection has at once without a look into the map; a power of two. */
const SLOTS = 64;

function slotOf(upstreamId: number): number {
  return (upstreamId >>> 1) & (SLOTS - 1);
}
