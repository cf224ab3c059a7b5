// SPDX-License-Identifier: Apache-2.0
// The far end of a relay while it stands: what it says, that it is lost, and by what. What becomes of the calls that are
// open on it, and whether another one takes its place, is relay.ts's business.
import type { Duplex } from 'node:stream';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { onClose, streamOf } from './end-stream.js';
import { Flow } from './flow.js';
import { Outlet } from './outlet.js';

/** An upstream that lives this long, or answers anything, is a good one: its loss has the whole budget again. */
const PROVED_MS = 1_000;

/** What an upstream causes. None of it before the turn it was made in is over. */
export interface UpstreamPort {
  bytes(upstream: Upstream, chunk: Buffer): void;
  /** Its write queue is empty again. */
  drained(upstream: Upstream): void;
  /** It ended, or broke. May come more than once. */
  lost(upstream: Upstream): void;
}

export class Upstream {
  readonly stream: Duplex;
  readonly outlet: Outlet;
  readonly flow: Flow;
  readonly #judgedPeer: VerifiedPeer | null;
  readonly #since = performance.now();
  #answered = false;
  #error: Error | null = null;

  constructor(opened: Duplex | VerifiedPeer, port: UpstreamPort) {
    const stream = streamOf(opened);
    this.stream = stream;
    this.outlet = new Outlet(stream);
    this.flow = new Flow(stream);
    this.#judgedPeer = 'peer' in opened ? opened : null;
    stream.on('data', (chunk: Buffer) => {
      this.#answered = true;
      port.bytes(this, chunk);
    });
    stream.on('drain', () => port.drained(this));
    stream.on('error', error => {
      this.#error = error;
      port.lost(this);
    });
    stream.once('end', () => port.lost(this));
    onClose(stream, () => port.lost(this));
    if (stream.destroyed || stream.readableEnded) queueMicrotask(() => port.lost(this));
  }

  /** Whether it answered anything, or lived long enough to count as good. */
  get proved(): boolean {
    return this.#answered || performance.now() - this.#since >= PROVED_MS;
  }

  /** What broke it; null as long as it stands, and when it simply ended. */
  failure(): Error | null {
    return this.#judgedPeer?.failure() ?? this.#error;
  }
}
