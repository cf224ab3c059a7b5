// SPDX-License-Identifier: Apache-2.0
// The calls that are on their way, and what may be done for each when the upstream is lost. One table is the truth: a call
// leaves it in one function. No sockets and no frames' bytes except the requests kept for sending again.
import { traitsOf, type MethodTraits } from '@peerpod-tls/agent-protocol/wire';
import type { Rewrite } from './types.js';

/** What is known of a method, looked up once per method and relay. */
export interface MethodPlan {
  readonly service: string;
  readonly method: string;
  readonly traits: MethodTraits;
  readonly rewrite: Rewrite | null;
}

export interface Call {
  readonly plan: MethodPlan;
  /** The stream id the downstream knows. */
  readonly downstreamId: number;
  /** The stream id the upstream knows; only a call that was overtaken has another one than downstream. */
  upstreamId: number;
  /** `performance.now()` at the request. */
  readonly since: number;
  /** The whole request frame, for methods that may run twice. */
  kept: Buffer | null;
  /** False while a rewrite or a redial holds the request here. */
  sent: boolean;
}

/** Largest request kept for sending again, and all of them together, per relay. Replayable requests are tiny. */
export const KEPT_CALL_BYTES = 64 * 1024;
const KEPT_ALL_BYTES = 1024 * 1024;

/** Open calls a relay carries; a shim has a handful per container. Beyond, a call is answered ResourceExhausted. */
export const MAX_CALLS = 8192;

/** Plans kept per relay. A downstream that invents method names costs a lookup each, not memory. */
const MAX_PLANS = 256;

export class CallTable {
  /** By upstream id: responses are the hot lookup. Ids rise, so the order of insertion is the order of sending. */
  readonly #calls = new Map<number, Call>();
  /** Upstream ids of calls that were overtaken, by downstream id. Empty for nearly every relay's whole life. */
  readonly #moved = new Map<number, number>();
  readonly #plans = new Map<string, Map<string, MethodPlan>>();
  readonly #rewrites: readonly Rewrite[];
  #planCount = 0;
  #keptBytes = 0;

  constructor(rewrites: readonly Rewrite[]) {
    this.#rewrites = rewrites;
  }

  get size(): number {
    return this.#calls.size;
  }

  plan(service: string, method: string): MethodPlan {
    const known = this.#plans.get(service)?.get(method);
    if (known !== undefined) return known;
    const rewrite = this.#rewrites.find(e => e.service === service && e.method === method) ?? null;
    const plan: MethodPlan = { service, method, traits: traitsOf(service, method), rewrite };
    if (this.#planCount < MAX_PLANS) {
      this.#planCount++;
      let ofService = this.#plans.get(service);
      if (ofService === undefined) this.#plans.set(service, (ofService = new Map()));
      ofService.set(method, plan);
    }
    return plan;
  }

  /** Whether a request of this size is to be kept whole, so that it can be sent again. */
  wouldKeep(plan: MethodPlan, bytes: number): boolean {
    return plan.traits.replay && bytes <= KEPT_CALL_BYTES && this.#keptBytes + bytes <= KEPT_ALL_BYTES;
  }

  add(call: Call): void {
    this.#calls.set(call.upstreamId, call);
    if (call.upstreamId !== call.downstreamId) this.#moved.set(call.downstreamId, call.upstreamId);
    if (call.kept !== null) this.#keptBytes += call.kept.length;
  }

  byUpstream(upstreamId: number): Call | undefined {
    return this.#calls.get(upstreamId);
  }

  byDownstream(downstreamId: number): Call | undefined {
    const upstreamId =
      this.#moved.size === 0 ? downstreamId : (this.#moved.get(downstreamId) ?? downstreamId);
    const call = this.#calls.get(upstreamId);
    return call?.downstreamId === downstreamId ? call : undefined;
  }

  remove(call: Call): void {
    if (!this.#calls.delete(call.upstreamId)) return;
    if (call.upstreamId !== call.downstreamId) this.#moved.delete(call.downstreamId);
    if (call.kept !== null) this.#keptBytes -= call.kept.length;
  }

  /** Gives a call another id at the upstream; it goes to the end of the order. */
  move(call: Call, upstreamId: number): void {
    this.remove(call);
    call.upstreamId = upstreamId;
    this.add(call);
  }

  /** All calls, oldest first. A copy: entries may be removed while walking it. */
  all(): Call[] {
    return [...this.#calls.values()];
  }
}
