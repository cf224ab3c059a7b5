// SPDX-License-Identifier: Apache-2.0
// What becomes of the calls on their way when an upstream comes or goes: sent again, sent late, answered, or let go. Nothing
// about who listens for the outcome, and no stream of its own.
import { StatusCode } from '@peerpod-tls/ttrpc/relay';
import type { Upstream } from './upstream.js';
import type { Call, CallTable } from './call-table.js';
import type { InFlightCall, RelayObserver } from './types.js';

/** What the fate of a call may cause. */
export interface CallsPort {
  /** Answers a stream of the downstream with a status. */
  answer(downstreamId: number, status: number, text: string): void;
  /** Sends a whole frame to the upstream that is there now. */
  send(frame: Buffer): void;
  /** The id a call that was held up has at the upstream. */
  nextUpstreamId(downstreamId: number): number;
}

export class OpenCalls {
  readonly #table: CallTable;
  readonly #port: CallsPort;
  readonly #observer: RelayObserver;
  readonly #upstreamName: string;
  /** Requests that were held up by a rewrite and wait for a place between two frames, or for an upstream. */
  #held: { call: Call; frame: Buffer }[] = [];

  constructor(table: CallTable, port: CallsPort, observer: RelayObserver, upstreamName: string) {
    this.#table = table;
    this.#port = port;
    this.#observer = observer;
    this.#upstreamName = upstreamName;
  }

  get count(): number {
    return this.#table.size;
  }

  /** Whether there are any, and all of them were sent: an end of the requests leaves them nothing to wait for but answers. */
  get onlyAwaited(): boolean {
    return this.#table.size > 0 && this.#table.all().every(call => call.sent);
  }

  /** Whether what is left may wait for ever, so that a drain need not wait for it. */
  get onlyEndless(): boolean {
    return this.#table.all().every(call => call.plan.traits.blocks);
  }

  list(): InFlightCall[] {
    const now = performance.now();
    return this.#table.all().map(call => ({
      service: call.plan.service,
      method: call.plan.method,
      streamId: call.downstreamId,
      sinceMs: now - call.since,
    }));
  }

  /** Keeps a request until {@link sendHeld}. */
  hold(call: Call, frame: Buffer): void {
    this.#held.push({ call, frame });
  }

  /** Sends what was held up, as far as a frame may begin at this upstream. Costs nothing when nothing was. */
  sendHeld(upstream: Upstream | null): void {
    if (upstream === null) return;
    while (this.#held.length > 0 && !upstream.outlet.midFrame) {
      const next = this.#held.shift();
      if (next === undefined) return;
      const upstreamId = this.#port.nextUpstreamId(next.call.downstreamId);
      next.frame.writeUInt32BE(upstreamId, 4);
      next.call.sent = true;
      this.#table.move(next.call, upstreamId);
      this.#port.send(next.frame);
    }
  }

  /** To a new upstream: sends again what may run twice, oldest first, then what never left. Returns the number sent again. */
  replay(upstream: Upstream): number {
    let replayed = 0;
    for (const call of this.#table.all()) {
      if (call.kept === null || !call.sent) continue;
      this.#port.send(call.kept);
      replayed++;
    }
    this.sendHeld(upstream);
    return replayed;
  }

  /**
   * The upstream is lost: answers calls Unavailable, since it cannot be known whether the agent ran them. Those that may run
   * twice or never left are spared when there will be another upstream. Returns the number answered.
   */
  answerLost(another: boolean): number {
    let answered = 0;
    for (const call of this.#table.all()) {
      if (another && (!call.sent || call.kept !== null)) continue;
      this.#forget(call, StatusCode.unavailable);
      const text = call.sent
        ? `${this.#upstreamName} was cut while this call was open; it is not known whether the agent ran it`
        : `${this.#upstreamName} was cut before this call was sent`;
      this.#port.answer(call.downstreamId, StatusCode.unavailable, text);
      answered++;
    }
    return answered;
  }

  /** The relay ends: nobody is left to answer. */
  letGo(): void {
    this.#held = [];
    for (const call of this.#table.all()) this.#forget(call, StatusCode.canceled);
  }

  #forget(call: Call, status: number): void {
    this.#table.remove(call);
    this.#observer.callEnded?.(call.plan.service, call.plan.method, status, performance.now() - call.since);
  }
}
