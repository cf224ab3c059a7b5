// SPDX-License-Identifier: Apache-2.0
// Instances that no sandbox accounts for: looked for at start and every now and then, reported, and deleted only when a
// person says which. What makes an instance an orphan is decided in reap-instance.ts.
import { abortable, deadline, reasonOf } from '@peerpod-tls/base';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import type { SandboxDeps } from './deps.js';
import type { Instance } from '@peerpod-tls/providers';
import { claimedIds, findOrphans } from './reap-instance.js';

/** How often the platform is searched, in milliseconds, and how long one search may take. */
const SEARCH_MS = 600_000;
const LIST_MS = 60_000;
const DELETE_MS = 600_000;

/** What the last search found, as `GET /orphans` shows it. */
export interface OrphanReport {
  readonly provider: string;
  /** When the platform was last looked at with success, ISO 8601; null before the first time. */
  readonly checkedAt: string | null;
  /** Why the last attempt to look failed; empty when it did not. */
  readonly error: string;
  readonly orphans: readonly Instance[];
}

export class Orphans {
  readonly #deps: SandboxDeps;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #report: OrphanReport;
  /** Deletions under way, by id: a second request for one waits for the first. */
  readonly #deletions = new Map<string, Promise<void>>();

  constructor(deps: SandboxDeps) {
    this.#deps = deps;
    this.#report = { provider: deps.provider.name, checkedAt: null, error: '', orphans: [] };
  }

  /** Searches now, and again every ten minutes, until `close`. */
  watch(): void {
    const search = (): void => {
      this.search(this.#stopping.signal).catch((err: unknown) => {
        if (!this.#stopping.signal.aborted)
          this.#deps.log.warn({ err, provider: this.#report.provider }, 'instances not listed');
      });
    };
    this.#timer = setInterval(search, SEARCH_MS).unref();
    search();
  }

  get report(): OrphanReport {
    return this.#report;
  }

  /** Looks at the platform; rejects with what the provider rejected with, after having noted it. */
  async search(signal: AbortSignal): Promise<OrphanReport> {
    const { log, metrics, provider } = this.#deps;
    let orphans: readonly Instance[];
    try {
      using within = deadline(LIST_MS, this.#stopping.signal, signal);
      orphans = await abortable(findOrphans(this.#deps, within), within);
    } catch (error) {
      this.#report = { ...this.#report, error: reasonOf(error) };
      throw error;
    }
    metrics.orphans(orphans.length);
    this.#report = { provider: provider.name, checkedAt: new Date().toISOString(), error: '', orphans };
    for (const { id, name, addresses } of orphans) {
      log.warn(
        { provider: provider.name, instance: id, instanceName: name, addresses },
        'instance belongs to no sandbox',
      );
    }
    return this.#report;
  }

  /**
   * Deletes an instance that belongs to no sandbox. The platform is looked at again first, since an instance may have
   * found its sandbox, or have gone, after it was reported. Goes on when the caller leaves.
   *
   * @throws StatusError notFound, failedPrecondition, unavailable
   */
  async delete(id: string): Promise<void> {
    const running = this.#deletions.get(id);
    if (running !== undefined) return running;
    const job = this.#delete(id).finally(() => this.#deletions.delete(id));
    this.#deletions.set(id, job);
    return job;
  }

  async #delete(id: string): Promise<void> {
    const { log, metrics, provider, table } = this.#deps;
    const shown = JSON.stringify(id.slice(0, 256));
    const { signal } = this.#stopping;
    const { orphans } = await this.search(signal);
    if (!orphans.some(orphan => orphan.id === id)) {
      if (claimedIds(table.values()).has(id)) {
        throw new StatusError(
          StatusCode.failedPrecondition,
          `instance ${shown} belongs to a sandbox; stop the sandbox instead`,
        );
      }
      throw new StatusError(StatusCode.notFound, `there is no instance ${shown} without a sandbox`);
    }
    try {
      using within = deadline(DELETE_MS, signal);
      await abortable(provider.deleteInstance(id, within), within);
    } catch (cause) {
      metrics.deleted('failed');
      log.error({ err: cause, instance: id, reason: reasonOf(cause) }, 'orphan not deleted');
      throw new StatusError(StatusCode.unavailable, `instance ${shown} was not deleted: ${reasonOf(cause)}`, {
        cause,
      });
    }
    metrics.deleted('ok');
    log.info({ provider: provider.name, instance: id }, 'orphan deleted');
    // Known without another look; a provider that lists slowly must not make it appear again.
    const left = this.#report.orphans.filter(orphan => orphan.id !== id);
    this.#report = { ...this.#report, orphans: left };
    metrics.orphans(left.length);
  }

  /** Stops searching and lets deletions end. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort(new Error('the adaptor is shutting down'));
    await Promise.allSettled(this.#deletions.values());
  }
}
