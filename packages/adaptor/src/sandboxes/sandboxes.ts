// SPDX-License-Identifier: Apache-2.0
// The life of sandboxes: create, start, stop, and finding them again after a restart. Each change of one sandbox has
// one job at a time; a job belongs to the adaptor, not to the caller who asked for it, and outlives that caller.
import { abortable, anySignal, reasonOf } from '@peerpod-tls/base';
import { rm } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { formatDuration } from '@peerpod-tls/daemon';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import { DeletionRetry } from './deletion-retry.js';
import type { SandboxDeps } from './deps.js';
import type { Logger } from 'pino';
import { GoneIds } from './gone-ids.js';
import { freeInstanceName } from './instance-name.js';
import { checkCreated, checkVms, forgettable } from './limits.js';
import { resumeRunning } from './resume.js';
import { linkFacts } from './proxy-spec.js';
import { logOf } from './log-of.js';
import { reapInstance } from './reap-instance.js';
import { agentSocketPath, checkSandboxDirectory, checkSandboxId, sandboxDirectory } from './sandbox-id.js';
import {
  instanceOf,
  toFailed,
  tokenOf,
  toStopping,
  withTrouble,
  type Sandbox,
  type SandboxSpec,
} from './sandbox.js';
import { startSandbox } from './start-sandbox.js';
import { alreadyExists, notFound } from '../hypervisor/status-of.js';

interface StartJob {
  readonly abort: AbortController;
  /** Resolves when the start is over and cleaned up after, whatever came of it. */
  readonly over: Promise<void>;
}

/** How often sandboxes that nobody starts are looked for, in milliseconds. */
const FORGET_MS = 30_000;

export class Sandboxes {
  readonly #deps: SandboxDeps;
  readonly #starts = new Map<string, StartJob>();
  readonly #stops = new Map<string, Promise<void>>();
  /** Looks at sandboxes of an earlier run that are still going on. */
  readonly #checks = new Map<string, AbortController>();
  readonly #retries: DeletionRetry;
  readonly #gone = new GoneIds();
  /** Starts that another adaptor began: the proxy asks for them again, and what they left is deleted first. */
  readonly #interrupted = new Set<string>();
  readonly #forgetting: NodeJS.Timeout;
  #closing = false;

  constructor(deps: SandboxDeps) {
    this.#deps = deps;
    this.#retries = new DeletionRetry(deps.settings.deletionRetryMs ?? 1000, id => this.#retry(id));
    const { createdMs } = deps.settings;
    this.#forgetting = setInterval(() => this.#forget(), Math.min(createdMs / 2, FORGET_MS)).unref();
  }

  /**
   * CreateVM: enters the sandbox and gives the path its socket will have. Nothing is made for it yet. Asked again before
   * it is started, as after an adaptor that ended before it could answer, it says the same.
   */
  async create(id: string, spec: SandboxSpec, networkNamespace: string): Promise<string> {
    this.#refuseWhenClosing();
    const { table, settings, log } = this.#deps;
    checkSandboxId(id, settings.podsDir);
    checkSandboxDirectory(settings.podsDir, id);
    const existing = table.get(id);
    if (existing !== undefined && isRepeated(existing, spec, networkNamespace))
      return agentSocketPath(settings.podsDir, id);
    if (existing !== undefined) throw alreadyExists(id);
    checkCreated(settings, table.values());
    const now = new Date().toISOString();
    const taken = new Set([...table.values()].map(other => other.instanceName));
    const name = freeInstanceName(spec.pod, id, taken);
    const sandbox: Sandbox = {
      id,
      spec,
      networkNamespace,
      instanceName: name,
      link: linkFacts(this.#deps, name),
      createdAt: now,
      leaf: null,
      generation: 0,
      state: { t: 'created', since: now },
    };
    if (!(await table.add(sandbox))) throw alreadyExists(id);
    this.#gone.forget(id);
    logOf({ log }, sandbox).info({ instanceName: name }, 'sandbox created');
    return agentSocketPath(settings.podsDir, id);
  }

  /** StartVM: resolves when the agent in the VM has answered and the socket is open. `caller` aborts the start. */
  async start(id: string, caller: AbortSignal): Promise<void> {
    this.#refuseWhenClosing();
    const sandbox = this.#require(id);
    if (sandbox.state.t === 'running') return;
    if (this.#starts.has(id))
      throw new StatusError(StatusCode.aborted, `sandbox ${id} is being started already`);
    // A stop marks its sandbox only once its turn has come; from its call on, nothing may start any more.
    if (sandbox.state.t === 'stopping' || this.#stops.has(id)) {
      throw new StatusError(StatusCode.failedPrecondition, `sandbox ${id} is being stopped`);
    }
    if (this.#interrupted.has(id)) {
      await this.#cleanedUp(id, caller);
      return this.start(id, caller);
    }
    if (isLeftBehind(sandbox)) {
      throw new StatusError(
        StatusCode.failedPrecondition,
        `what the last start of sandbox ${id} left is still being deleted`,
      );
    }
    checkVms(this.#deps.settings, this.#deps.table.values(), new Set(this.#starts.keys()));
    const abort = new AbortController();
    const began = performance.now();
    const signal = anySignal(abort.signal, caller);
    const job = this.#runStart(id, signal).finally(() => signal[Symbol.dispose]());
    const over = job.then(
      () => this.#deps.metrics.started('ok', performance.now() - began),
      () => this.#deps.metrics.started('failed', performance.now() - began),
    );
    this.#starts.set(id, { abort, over });
    void over.finally(() => this.#starts.delete(id));
    await abortable(job, caller);
  }

  /** Waits until nothing is left of the start that another adaptor began. */
  async #cleanedUp(id: string, caller: AbortSignal): Promise<void> {
    const { table } = this.#deps;
    for (;;) {
      const sandbox = table.get(id);
      if (sandbox?.state.t !== 'failed' || !isLeftBehind(sandbox)) break;
      await table.nextChange(caller);
    }
    this.#interrupted.delete(id);
  }

  async #runStart(id: string, signal: AbortSignal): Promise<void> {
    try {
      await startSandbox(this.#deps, id, signal);
    } catch (error) {
      await this.#afterFailedStart(id, reasonOf(error), error);
      throw error;
    }
  }

  /** Takes back what a start left; what cannot be deleted now is tried again in the background. */
  async #afterFailedStart(id: string, reason: string, error: unknown): Promise<void> {
    const { table } = this.#deps;
    this.#logOf(id).error({ err: error, reason }, 'sandbox not started');
    if (table.get(id)?.state.t !== 'starting') return;
    await this.#noteFailure(await table.force(id, row => toFailed(row, reason, false, new Date())), id);
    await this.#reapFailed(id).catch(() => this.#retries.schedule(id));
  }

  async #reapFailed(id: string): Promise<void> {
    const { table } = this.#deps;
    const sandbox = table.get(id);
    if (sandbox === undefined || sandbox.state.t !== 'failed') return;
    await reapInstance(this.#deps, sandbox);
    const { reason } = sandbox.state;
    await this.#noteFailure(
      await table.force(id, row =>
        row.state.t === 'failed' ? toFailed(row, reason, true, new Date()) : row,
      ),
      id,
    );
  }

  /**
   * StopVM: resolves when the instance is deleted and nothing of the sandbox is left; rejects when the first attempt
   * to delete failed, which is then repeated in the background. A caller that leaves changes nothing.
   */
  async stop(id: string, caller: AbortSignal): Promise<void> {
    if (this.#deps.table.get(id) === undefined) {
      if (this.#gone.has(id)) return;
      throw notFound(id);
    }
    this.#retries.cancel(id);
    await abortable(this.#stopJob(id), caller);
  }

  #stopJob(id: string): Promise<void> {
    const running = this.#stops.get(id);
    if (running !== undefined) return running;
    const job = this.#runStop(id).finally(() => this.#stops.delete(id));
    this.#stops.set(id, job);
    return job;
  }

  async #runStop(id: string): Promise<void> {
    const { table, settings } = this.#deps;
    const log = this.#logOf(id);
    const began = performance.now();
    const start = this.#starts.get(id);
    start?.abort.abort(new StatusError(StatusCode.aborted, `sandbox ${id} is being stopped`));
    await start?.over;
    await this.#noteFailure(await table.force(id, row => toStopping(row, new Date())), id);
    await this.#closeProxy(id);
    try {
      await reapInstance(this.#deps, this.#require(id));
    } catch (error) {
      const reason = reasonOf(error);
      await this.#noteFailure(await table.force(id, row => withTrouble(row, reason)), id);
      this.#retries.schedule(id);
      throw new StatusError(
        StatusCode.unavailable,
        `the instance of sandbox ${id} could not be deleted: ${reason}; it is tried again until it is gone`,
        { cause: error },
      );
    }
    await rm(sandboxDirectory(settings.podsDir, id), { recursive: true, force: true }).catch((err: unknown) =>
      log.warn({ err }, 'sandbox directory not removed'),
    );
    await table.remove(id).catch((err: unknown) => log.error({ err }, 'sandbox record not removed'));
    this.#gone.note(id);
    this.#interrupted.delete(id);
    log.info({ ms: Math.round(performance.now() - began) }, 'sandbox stopped');
  }

  /** Lets go of sandboxes without a VM that nobody has started, or stopped, for too long. */
  #forget(): void {
    const { settings, table } = this.#deps;
    for (const sandbox of forgettable(settings, table.values(), Date.now())) {
      const { id, state } = sandbox;
      if (this.#starts.has(id) || this.#stops.has(id)) continue;
      const reason = `sandbox ${id} was ${state.t} for longer than -created-timeout allows (${formatDuration(settings.createdMs)}) and is forgotten`;
      logOf(this.#deps, sandbox).warn({ state: state.t, since: state.since }, 'sandbox forgotten');
      this.#stopJob(id).then(
        () => this.#gone.note(id, reason),
        () => undefined,
      );
    }
  }

  async #closeProxy(id: string): Promise<void> {
    this.#checks.get(id)?.abort();
    this.#checks.delete(id);
    await this.#deps.dataPath.close(id).catch((err: unknown) =>
      // It is told again once it is back, since this sandbox is not wanted any more.
      this.#logOf(id).warn({ err, reason: reasonOf(err) }, 'socket of the sandbox not closed'),
    );
  }

  /** Whether a sandbox's socket is to be open. */
  wants(id: string): boolean {
    if (this.#stops.has(id)) return false;
    return this.#starts.has(id) || this.#deps.table.get(id)?.state.t === 'running';
  }

  /** Opens the socket of a running sandbox that its proxy has lost. Never rejects. */
  async reopen(id: string): Promise<void> {
    const sandbox = this.#deps.table.get(id);
    if (sandbox?.state.t === 'running' && this.wants(id)) await this.#resume(sandbox);
  }

  /** One more attempt in the background; rejects to be scheduled again. */
  async #retry(id: string): Promise<void> {
    const sandbox = this.#deps.table.get(id);
    if (sandbox?.state.t === 'failed') await this.#reapFailed(id);
    // A stop schedules its own next attempt.
    else if (sandbox?.state.t === 'stopping') await this.#stopJob(id).catch(() => undefined);
  }

  /** After a restart: opens every running sandbox again and takes up the deletions that were cut short. */
  async resume(): Promise<void> {
    const { table, identity } = this.#deps;
    // The proxy writes down what it opens: all at once, since each waits for the disk.
    const resumed: Promise<void>[] = [];
    for (const sandbox of table.values()) {
      const { id, state } = sandbox;
      switch (state.t) {
        case 'created':
          break;
        case 'running':
          if (sandbox.link.tls !== identity.mode) {
            logOf(this.#deps, sandbox).warn(
              { made: sandbox.link.tls, now: identity.mode },
              'sandbox was made in another TLS mode and will not be reached in this one',
            );
          }
          resumed.push(this.#resume(sandbox));
          break;
        case 'starting':
          await table.force(id, row =>
            toFailed(row, 'the adaptor was restarted during the start', false, new Date()),
          );
          this.#interrupted.add(id);
          this.#retries.soon(id);
          break;
        case 'failed':
          if (state.instance === null && state.token === null) break;
          this.#interrupted.add(id);
          this.#retries.soon(id);
          break;
        case 'stopping':
          this.#retries.soon(id);
          break;
      }
    }
    await Promise.all(resumed);
  }

  async #resume(sandbox: Sandbox): Promise<void> {
    this.#checks.get(sandbox.id)?.abort();
    const check = new AbortController();
    this.#checks.set(sandbox.id, check);
    await resumeRunning(this.#deps, sandbox, check.signal);
  }

  /** Ends starts, lets stops finish until `signal` aborts, and leaves every VM and every socket as it is. */
  async close(signal: AbortSignal): Promise<void> {
    this.#closing = true;
    this.#retries.close();
    clearInterval(this.#forgetting);
    for (const check of this.#checks.values()) check.abort();
    for (const { abort } of this.#starts.values()) {
      abort.abort(new StatusError(StatusCode.unavailable, 'the adaptor is shutting down'));
    }
    const jobs = [...[...this.#starts.values()].map(start => start.over), ...this.#stops.values()];
    await abortable(Promise.allSettled(jobs), signal).catch(() => {});
  }

  /** Of a sandbox by its id, also when it is gone. */
  #logOf(id: string): Logger {
    const { table, log } = this.#deps;
    const sandbox = table.get(id);
    return sandbox === undefined ? log.child({ sandbox: id }) : logOf({ log }, sandbox);
  }

  #require(id: string): Sandbox {
    const sandbox = this.#deps.table.get(id);
    if (sandbox !== undefined) return sandbox;
    const why = this.#gone.why(id);
    throw why === '' ? notFound(id) : new StatusError(StatusCode.notFound, why);
  }

  #refuseWhenClosing(): void {
    if (this.#closing) throw new StatusError(StatusCode.unavailable, 'the adaptor is shutting down');
  }

  async #noteFailure(failure: unknown, id: string): Promise<void> {
    if (failure !== undefined) {
      this.#logOf(id).error({ err: failure, reason: reasonOf(failure) }, 'sandbox record not written');
    }
  }
}

const isLeftBehind = (sandbox: Sandbox): boolean => instanceOf(sandbox) !== null || tokenOf(sandbox) !== null;

/** Whether a CreateVM asks for what it asked for before. */
function isRepeated(sandbox: Sandbox, spec: SandboxSpec, networkNamespace: string): boolean {
  return (
    sandbox.state.t === 'created' &&
    sandbox.networkNamespace === networkNamespace &&
    isDeepStrictEqual({ ...sandbox.spec }, { ...spec })
  );
}
