// SPDX-License-Identifier: Apache-2.0
// One connection towards the agent while it stands: its stream, the calls on it, who has some, and by what it was lost.
// Whether another one takes its place is relay.ts's business, or shared-upstream.ts's.
import type { Duplex } from 'node:stream';
import { encodeFrame, FrameFlag, FrameType } from '@peerpod-tls/ttrpc/relay';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import type { CallTable } from './call-table.js';
import type { Call, Downstream } from './downstream.js';
import { onClose, readEndOf, streamOf } from './end-stream.js';
import { Flow, Hold } from './flow.js';
import { FULL_OF_WHOLE_FRAMES, Outlet } from './outlet.js';
import { Patience } from './patience.js';
import { startReading } from './reading.js';
import type { RelayStream } from './relay-stream.js';
import { ResponseSide } from './response-side.js';
import { FrameScanner } from './scanner.js';
import type { AgentEnd, LentReads, RelayObserver } from './types.js';

/** An upstream that lives this long, or answers anything, is a good one: its loss has the whole budget again. */
const PROVED_MS = 1_000;

export interface UpstreamOptions {
  readonly calls: CallTable;
  readonly agentEnd: AgentEnd;
  /** Told of what the upstream may not send. */
  readonly observer: RelayObserver;
  /** It ended, or broke. Told once, and never before the turn it was made in is over. */
  onLost(): void;
  /** It speaks something else; whoever owns it ends it. */
  onBroken(reason: string): void;
}

export class Upstream {
  readonly stream: RelayStream;
  readonly outlet: Outlet;
  readonly calls: CallTable;
  readonly agentEnd: AgentEnd;
  readonly #flow: Flow;
  readonly #patience: Patience;
  readonly #verifiedPeer: VerifiedPeer | null;
  readonly #responses: ResponseSide;
  readonly #scanner: FrameScanner;
  readonly #users = new Map<Downstream, (reason: string) => void>();
  readonly #since = performance.now();
  readonly #o: UpstreamOptions;
  #answered = false;
  #lost = false;
  #error: Error | null = null;

  constructor(opened: Duplex | VerifiedPeer | LentReads, o: UpstreamOptions) {
    const stream = streamOf(opened);
    this.stream = stream;
    this.outlet = new Outlet(stream, o.calls.adoption === null ? undefined : FULL_OF_WHOLE_FRAMES);
    this.calls = o.calls;
    this.agentEnd = o.agentEnd;
    this.#o = o;
    this.#flow = new Flow(stream);
    this.#patience = new Patience(this.#flow);
    this.#verifiedPeer = 'peer' in opened ? opened : null;
    this.#responses = new ResponseSide({
      calls: o.calls,
      agentEnd: o.agentEnd,
      observer: o.observer,
      settle: downstream => this.#settle(downstream),
      breakOff: reason => o.onBroken(reason),
    });
    this.#scanner = new FrameScanner(this.#responses);
    const scanner = this.#scanner;
    startReading(readEndOf(opened), (bytes, length) => {
      this.#answered = true;
      scanner.feed(bytes, length);
    });
    this.outlet.onDrained = () => {
      for (const downstream of this.#users.keys()) downstream.flow.release(Hold.full);
    };
    stream.on('error', error => {
      this.#error ??= error;
      this.#onLost();
    });
    stream.on('end', () => this.#onLost());
    onClose(stream, () => this.#onLost());
    if (stream.destroyed || stream.readableEnded) queueMicrotask(() => this.#onLost());
  }

  /** Whether it answered anything, or lived long enough to count as good. */
  get proved(): boolean {
    return this.#answered || performance.now() - this.#since >= PROVED_MS;
  }

  /** What broke it; null as long as it stands, and when it simply ended. */
  failure(): Error | null {
    return this.#verifiedPeer?.failure() ?? this.#error;
  }

  /** Reads for this downstream, too. `end` is called when it has to go, with why. */
  add(downstream: Downstream, end: (reason: string) => void): void {
    this.#users.set(downstream, end);
    this.#patience.crowd = this.#users.size;
    if (this.calls.adoption === null) this.#responses.aim(downstream);
  }

  /** A downstream has gone. */
  delete(downstream: Downstream): void {
    this.#users.delete(downstream);
    this.#patience.crowd = this.#users.size;
    this.#patience.forget(downstream);
    this.#responses.forget(downstream);
  }

  /** Nobody waits for this call any more, and the upstream cannot be told: its answer is dropped, or kept for an equal call. */
  orphan(call: Call): void {
    if (call.answered) return this.calls.remove(call);
    call.owner = null;
    if (!call.streams) return;
    call.streams = false;
    const flags = FrameFlag.remoteClosed | FrameFlag.noData;
    const end = encodeFrame({ streamId: call.upstreamId, type: FrameType.data, flags }, new Uint8Array(0));
    this.outlet.insert(end);
  }

  /** Everything this chunk brought for a downstream has been written to it. */
  #settle(downstream: Downstream): void {
    const { outlet } = downstream;
    if (outlet.full) {
      const reason = this.#patience.hold(downstream);
      if (reason !== null) this.#users.get(downstream)?.(reason);
    } else if (!outlet.crowded) downstream.flow.release(Hold.answers);
    downstream.onAnswered?.();
  }

  /** The write queue of a downstream is empty again. */
  release(downstream: Downstream): void {
    this.#patience.forget(downstream);
  }

  /** A request goes out under the id the call was given. */
  sent(call: Call): void {
    this.calls.add(call);
    if (call.plan.last) this.agentEnd.near = true;
  }

  /** A call that was held up goes out: it has its id from now on, and so has its frame. False when ids are used up. */
  sentLate(call: Call, frame: Buffer): boolean {
    const id = this.nextId(call.downstreamId);
    if (id === 0) return false;
    frame.writeUInt32BE(id, 4);
    call.upstreamId = id;
    this.sent(call);
    call.owner?.sent(call);
    return true;
  }

  /** The id for a call; 0 when they are used up, which is the end of this upstream. */
  nextId(downstreamId: number): number {
    const id = this.calls.nextId(downstreamId);
    if (id === 0) this.#o.onBroken('stream ids are used up');
    return id;
  }

  /** Reads no more; what was gathered goes out. */
  stop(): void {
    this.#lost = true;
    this.#scanner.stop();
    this.outlet.flush();
    this.#patience.stop();
  }

  #onLost(): void {
    if (this.#lost) return;
    this.stop();
    this.#o.onLost();
  }
}
