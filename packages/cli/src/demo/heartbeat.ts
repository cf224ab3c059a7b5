// SPDX-License-Identifier: Apache-2.0
// One Check through the whole path every second, as a shim makes every five, and what the round trips were like.
import { healthService } from '@peerpod-tls/agent-protocol';
import { type TtrpcClient, clientOf } from '@peerpod-tls/ttrpc';
import { messageOf } from '@peerpod-tls/base';

const KEPT = 60;
const TIMEOUT_MS = 30_000;

/** The round trips of the last minute. */
export class Heartbeat {
  readonly #check: (signal: AbortSignal) => Promise<unknown>;
  readonly #recent: number[] = [];
  /** Why the last one failed, or null. */
  failure: string | null = null;
  count = 0;

  constructor(client: TtrpcClient) {
    const health = clientOf(healthService, client);
    this.#check = signal => health.Check({}, { timeoutMs: TIMEOUT_MS, signal });
  }

  /** Makes one round trip. Never rejects: a failure is part of what is shown. */
  async beat(signal: AbortSignal): Promise<void> {
    const began = performance.now();
    try {
      await this.#check(signal);
      this.#recent.push(performance.now() - began);
      if (this.#recent.length > KEPT) this.#recent.shift();
      this.count++;
      this.failure = null;
    } catch (error) {
      if (!signal.aborted) this.failure = messageOf(error);
    }
  }

  get last(): number | null {
    return this.#recent.at(-1) ?? null;
  }

  /** The value below which a share `q` of the recent round trips lie, in milliseconds. */
  quantile(q: number): number | null {
    const sorted = [...this.#recent].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? null;
  }

  /** The last `width` round trips as a small graph, from the shortest of them to the longest. */
  graph(width: number, bars: readonly string[]): string {
    const shown = this.#recent.slice(-width);
    const low = Math.min(...shown);
    const range = Math.max(...shown) - low;
    return shown
      .map(ms => bars[range === 0 ? 0 : Math.round(((ms - low) / range) * (bars.length - 1))] ?? '')
      .join('');
  }
}
