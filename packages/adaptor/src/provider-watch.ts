// SPDX-License-Identifier: Apache-2.0
// Asks the provider every now and then whether an instance could be made, for readiness and its metric. What makes a
// provider ready is the provider's to say.
import { abortable, deadline, reasonOf } from '@peerpod-tls/base';
import type { CheckResult } from '@peerpod-tls/daemon';
import type { Provider } from '@peerpod-tls/providers';
import type { Logger } from 'pino';
import { AdaptorError } from './errors.js';

/** Between two looks, and how long one may take, in milliseconds. */
const AGAIN_MS = 10_000;
const ANSWER_MS = 15_000;

export interface ProviderWatchOptions {
  readonly provider: Provider;
  readonly log: Logger;
  /** Default 10 000. */
  readonly againMs?: number;
  /** Default 15 000. */
  readonly answerMs?: number;
}

export class ProviderWatch {
  readonly #o: ProviderWatchOptions;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | null = null;
  /** Why no instance could be made; empty when one could, null before the first answer. */
  #reason: string | null = null;
  #error: unknown = null;

  constructor(o: ProviderWatchOptions) {
    this.#o = o;
  }

  /** Looks now and from then on; resolves with the first look's end. */
  start(): Promise<void> {
    this.#timer = setInterval(() => void this.look(), this.#o.againMs ?? AGAIN_MS).unref();
    return this.look();
  }

  /** Looks now, or waits for the look that is under way. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { provider, log } = this.#o;
    const before = this.#reason;
    const ms = this.#o.answerMs ?? ANSWER_MS;
    using late = deadline(ms);
    using signal = deadline(ms, this.#stopping.signal);
    try {
      await abortable(provider.check(signal), signal);
      this.#reason = '';
      if (before !== null && before !== '') log.info({ provider: provider.name }, 'provider ready again');
    } catch (error) {
      if (this.#stopping.signal.aborted) {
        this.#error = error;
        return;
      }
      this.#reason = late.aborted ? `it did not answer within ${ms} ms` : reasonOf(error);
      this.#error = late.aborted
        ? new AdaptorError(
            'ERR_ADAPTOR_PROVIDER_SILENT',
            `the provider ${provider.name} did not answer within ${ms} ms`,
          )
        : error;
      // Said once per reason: a provider that is away is asked many times.
      if (before !== this.#reason)
        log.warn({ provider: provider.name, reason: this.#reason, err: error }, 'provider not ready');
    }
  }

  /** Looks now, and rejects with what the provider said when no instance could be made. */
  async require(): Promise<void> {
    await this.look();
    if (!this.ready) throw this.#error;
  }

  get ready(): boolean {
    return this.#reason === '';
  }

  get result(): CheckResult {
    const { name } = this.#o.provider;
    if (this.#reason === null) return { ok: false, reason: `provider ${name}: not asked yet` };
    return { ok: this.ready, reason: this.ready ? 'ready' : `provider ${name}: ${this.#reason}` };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort(new Error('the adaptor is shutting down'));
    await this.#looking;
  }
}
