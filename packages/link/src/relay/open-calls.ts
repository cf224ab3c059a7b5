// SPDX-License-Identifier: Apache-2.0
// What becomes of the calls a relay has open when their upstream is lost, when another one takes its place, and when the
// relay ends. When that is, and where an upstream comes from, is relay.ts's business.
import { StatusCode } from '@peerpod-tls/ttrpc/relay';
import type { CallTable } from './call-table.js';
import type { Call, Downstream } from './downstream.js';
import type { Upstream } from './upstream.js';

export class OpenCalls {
  readonly #downstream: Downstream;
  /** The calls on an upstream of the relay's own, which outlive it; null where upstreams are shared. */
  readonly #own: CallTable | null;
  readonly #upstreamName: string;

  constructor(downstream: Downstream, own: CallTable | null, upstreamName: string) {
    this.#downstream = downstream;
    this.#own = own;
    this.#upstreamName = upstreamName;
  }

  /** The calls of this downstream, sent or not. */
  list(upstream: Upstream | null): Call[] {
    const sent = (this.#own ?? upstream?.calls)?.sent(this.#downstream);
    return [...(sent ?? []), ...this.#downstream.unsent];
  }

  /** To a new upstream: sends again what may run twice, oldest first. Returns the number sent again. */
  sendAgain(upstream: Upstream): number {
    let replayed = 0;
    for (const { kept } of this.#own?.sent() ?? []) {
      if (kept === null) continue;
      upstream.outlet.pass(kept, 0, kept.length, true, false);
      this.#downstream.observer.bytes?.('request', kept.length);
      replayed++;
    }
    return replayed;
  }

  /**
   * The upstream is lost: answers calls Unavailable, since it cannot be known whether the agent ran them. Those that may
   * run twice or never left are spared when there will be another one. Returns the number answered.
   */
  answerLost(upstream: Upstream, another: boolean): number {
    let answered = 0;
    for (const call of this.list(upstream)) {
      const sent = call.upstreamId !== 0;
      if (another && (!sent || call.kept !== null)) continue;
      this.#forget(upstream, call);
      if (call.answered) continue;
      this.#tellEnded(call, StatusCode.unavailable);
      const text = sent
        ? `${this.#upstreamName} was cut while this call was open; it is not known whether the agent ran it`
        : `${this.#upstreamName} was cut before this call was sent`;
      this.#downstream.answer(call.downstreamId, StatusCode.unavailable, text);
      answered++;
    }
    return answered;
  }

  /** The relay ends: nobody is left to answer. */
  letGo(upstream: Upstream | null): void {
    for (const call of this.list(upstream)) {
      if (!call.answered) this.#tellEnded(call, StatusCode.canceled);
      if (this.#own === null && upstream !== null && call.upstreamId !== 0) upstream.orphan(call);
      else this.#forget(upstream, call);
    }
  }

  #forget(upstream: Upstream | null, call: Call): void {
    if (call.upstreamId === 0) this.#downstream.forget(call);
    else if (this.#own !== null) this.#own.remove(call);
    else upstream?.calls.remove(call);
  }

  #tellEnded(call: Call, status: number): void {
    call.plan.ended(status, performance.now() - call.since);
  }
}
