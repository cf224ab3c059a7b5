// SPDX-License-Identifier: Apache-2.0
// Health checks while a link is away that may be resumed. A shim gives a check 30 s and ends its pod when none is answered,
// and a link may be resumed later than that with nothing lost. So a check that has waited for long is answered here: the
// sandbox is as well as its link can say. Once the link is given up, checks are answered no more. Whether it is away is the
// stream's to say.
import { healthServiceName } from '@peerpod-tls/agent-protocol/wire';
import { encodeFrame, encodeResponse, FrameType, StatusCode } from '@peerpod-tls/ttrpc/relay';
import type { Logger } from 'pino';
import type { Downstream } from './downstream.js';
import type { OpenCalls } from './open-calls.js';
import type { Upstream } from './upstream.js';

/** How long a check waits for the link, in milliseconds: a loss may be noticed 18 s late, and then there is time left. */
const CHECK_WAITS_MS = 10_000;
/** Between two looks for such checks. */
const LOOK_MS = 1_000;

/** HealthCheckResponse with `status` (field 1) SERVING (1). */
const SERVING = Buffer.of(0x08, 0x01);

export class HealthStandIn {
  readonly #downstream: Downstream;
  readonly #calls: OpenCalls;
  readonly #log: Logger;
  readonly #waitsMs: number;
  #looks: NodeJS.Timeout | null = null;
  #told = false;

  constructor(downstream: Downstream, calls: OpenCalls, log: Logger, waitsMs = CHECK_WAITS_MS) {
    this.#downstream = downstream;
    this.#calls = calls;
    this.#log = log;
    this.#waitsMs = waitsMs;
  }

  /** The upstream has no connection for the time being. */
  begin(upstream: Upstream): void {
    this.#told = false;
    const lookMs = Math.min(LOOK_MS, this.#waitsMs / 2);
    this.#looks ??= setInterval(() => this.#look(upstream), lookMs).unref();
  }

  end(): void {
    if (this.#looks !== null) clearInterval(this.#looks);
    this.#looks = null;
  }

  #look(upstream: Upstream): void {
    const now = performance.now();
    for (const call of this.#calls.list(upstream)) {
      const { plan, since, downstreamId } = call;
      const isCheck = plan.service === healthServiceName && plan.method === 'Check';
      if (!isCheck || call.answered || call.upstreamId === 0 || now - since < this.#waitsMs) continue;
      // It stays in the table, for the answer that will come.
      call.owner = null;
      this.#downstream.forget(call);
      plan.ended(StatusCode.ok, now - since);
      const response = encodeResponse({ status: null, payload: SERVING });
      this.#downstream.outlet.insert(
        encodeFrame({ streamId: downstreamId, type: FrameType.response }, response),
      );
      if (!this.#told) this.#log.info('health checks answered here while the link is away');
      this.#told = true;
    }
  }
}
