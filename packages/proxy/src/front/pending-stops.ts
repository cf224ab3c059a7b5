// SPDX-License-Identifier: Apache-2.0
// The StopVM calls that no adaptor has answered yet: on disk before anybody is answered, and handed to the next adaptor
// until it has answered each.
import { hypervisorService } from '@peerpod-tls/agent-protocol/proxy';
import { Backoff, codeOf, reasonOf, sleep } from '@peerpod-tls/base';
import { clientOf, StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import type { AdaptorConnection } from './adaptor-connection.js';
import type { AdaptorPresence } from './adaptor-presence.js';
import { isGone } from './answers.js';

/** An adaptor that answers at all may need to delete a VM first. */
const ANSWER_MS = 600_000;

/** There is nothing to stop, and trying again changes nothing. */
const SETTLED: ReadonlySet<number> = new Set([StatusCode.notFound, StatusCode.invalidArgument]);

export interface StopStore {
  keepStop(sandbox: string): Promise<void>;
  forgetStop(sandbox: string): void;
}

export interface PendingStopsOptions {
  readonly store: StopStore;
  readonly presence: AdaptorPresence;
  readonly connection: AdaptorConnection;
  /** One was answered. */
  readonly onFewer: () => void;
  readonly log: Logger;
}

export class PendingStops {
  readonly #o: PendingStopsOptions;
  /** By sandbox: how many callers wait for the adaptor's answer themselves. */
  readonly #pending = new Map<string, number>();
  readonly #ended = new AbortController();
  readonly #delivering = new Map<string, Promise<void>>();

  constructor(o: PendingStopsOptions, left: readonly string[]) {
    this.#o = o;
    for (const id of left) this.#pending.set(id, 0);
  }

  get ids(): readonly string[] {
    return [...this.#pending.keys()];
  }

  /**
   * Writes a stop down, for a caller that then asks the adaptor itself and `release`s it.
   * @returns false when it could not be written down
   */
  async take(sandbox: string): Promise<boolean> {
    this.#pending.set(sandbox, (this.#pending.get(sandbox) ?? 0) + 1);
    try {
      await this.#o.store.keepStop(sandbox);
      return true;
    } catch (err) {
      this.#o.log.error({ err, sandbox }, 'StopVM could not be written down');
      return false;
    }
  }

  /** The adaptor has answered. */
  settled(sandbox: string): void {
    this.#o.store.forgetStop(sandbox);
    if (this.#pending.delete(sandbox)) this.#o.onFewer();
  }

  /** The caller does not wait any more. What is not settled by then is handed to the adaptor from here. */
  release(sandbox: string): void {
    const callers = this.#pending.get(sandbox);
    if (callers === undefined) return;
    this.#pending.set(sandbox, Math.max(0, callers - 1));
    this.deliver();
  }

  /** Hands on what is left, if there is an adaptor; each by itself, since deleting a VM may take long. */
  deliver(): void {
    for (const [sandbox, callers] of this.#pending) {
      if (callers > 0 || this.#delivering.has(sandbox)) continue;
      this.#delivering.set(
        sandbox,
        this.#deliver(sandbox).finally(() => {
          this.#delivering.delete(sandbox);
          // A caller may have given it back just then.
          if (this.#o.presence.there && !this.#ended.signal.aborted) this.deliver();
        }),
      );
    }
  }

  /** Until it is answered, a caller asks for it again, or the adaptor has gone. */
  async #deliver(sandbox: string): Promise<void> {
    const backoff = new Backoff({ firstMs: 100, longestMs: 30_000, jitter: 0.2 });
    const { signal } = this.#ended;
    while (this.#o.presence.there && this.#pending.get(sandbox) === 0 && !signal.aborted) {
      if (await this.#hand(sandbox, signal)) return;
      await sleep(backoff.next(), signal).catch(() => {});
    }
  }

  async #hand(sandbox: string, signal: AbortSignal): Promise<boolean> {
    const { connection, log } = this.#o;
    try {
      const client = await connection.client();
      await clientOf(hypervisorService, client).StopVM({ id: sandbox }, { signal, timeoutMs: ANSWER_MS });
      log.info({ sandbox }, 'StopVM handed on');
    } catch (error) {
      if (signal.aborted) return false;
      const nothing = error instanceof StatusError && SETTLED.has(error.status);
      if (!nothing) {
        log[isGone(error) ? 'debug' : 'warn'](
          { sandbox, code: codeOf(error), reason: reasonOf(error) },
          'StopVM not carried out yet',
        );
        return false;
      }
      log.info({ sandbox, reason: reasonOf(error) }, 'StopVM handed on, there was nothing to stop');
    }
    this.settled(sandbox);
    return true;
  }

  /** Stops handing on; what is left stays on disk. */
  async end(): Promise<void> {
    this.#ended.abort(new Error('the proxy is stopping'));
    this.#o.connection.close();
    await Promise.all(this.#delivering.values());
  }
}
