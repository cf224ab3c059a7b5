// SPDX-License-Identifier: Apache-2.0
// What happened, numbered, for who asks later or waits for more. Keeps the last of it that nobody has, and says how much
// it forgot.
import { randomBytes } from 'node:crypto';
import { abortable } from '@peerpod-tls/base';
import type { WatchedEvent } from '../control/index.js';
import type { ProxyEvent } from '../spec.js';

/** An adaptor that is away for a minute of a bad network misses nothing. */
const KEPT = 4096;
/** So that an answer is far below what a frame holds. */
const AT_ONCE = 512;

export interface EventsSince {
  readonly events: readonly WatchedEvent[];
  /** Which process numbers them. */
  readonly process: string;
  /** So many were forgotten before anybody asked. */
  readonly missed: number;
}

export class EventLog {
  /** Of this process: numbers of another one mean nothing here. */
  readonly process = randomBytes(8).toString('hex');
  readonly #kept: WatchedEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #last = 0;
  /** The last one that whoever asks is known to have. */
  #taken = 0;

  add(event: ProxyEvent, sandbox: string): void {
    this.#last += 1;
    this.#kept.push({ number: this.#last, sandbox, event });
    if (this.#kept.length > KEPT) this.#kept.shift();
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /**
   * What came after event `after` of `process`; waits for something to come until `until` aborts, and is empty then.
   * Those up to `after` are not told again, also to the next adaptor: it would count them twice.
   * @param after a number of another process, or from the future, counts as 0
   */
  async since(after: number, process: string, until: AbortSignal): Promise<EventsSince> {
    const known = process === this.process && after <= this.#last ? Math.max(0, after) : 0;
    this.#taken = Math.max(this.#taken, Math.floor(known));
    while ((this.#kept[0]?.number ?? this.#last + 1) <= this.#taken) this.#kept.shift();
    if (this.#last <= Math.max(known, this.#taken)) await this.#next(until);
    const first = this.#kept[0]?.number ?? this.#last + 1;
    const from = Math.max(0, Math.floor(known) + 1 - first);
    return {
      events: this.#kept.slice(from, from + AT_ONCE),
      process: this.process,
      missed: Math.max(0, first - 1 - this.#taken),
    };
  }

  async #next(until: AbortSignal): Promise<void> {
    let wake = (): void => {};
    const happened = new Promise<void>(resolve => {
      wake = resolve;
      this.#waiting.add(wake);
    });
    try {
      await abortable(happened, until);
    } catch {
      // Nothing came in time, which is an answer.
    } finally {
      this.#waiting.delete(wake);
    }
  }
}
