// SPDX-License-Identifier: Apache-2.0
// The adaptor put together: what starts after what, and what closes before what. No flags and no signals here.
import { deadline } from '@peerpod-tls/base';
import { startStatusServer, type ReadyDetails, type Service, type StatusServer } from '@peerpod-tls/daemon';
import { TtrpcServer } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import type { SandboxDeps, SandboxSettings } from './sandboxes/deps.js';
import { Generations } from './data-path/generations.js';
import { hypervisorServices } from './hypervisor/services.js';
import { openIdentity, type Identity, type OpenIdentity } from '@peerpod-tls/trust';
import { Metrics } from './metrics.js';
import { operatorServices } from './hypervisor/operator.js';
import type { AdaptorOptions } from './options.js';
import { openShimWatch } from './sandboxes/dead-sandboxes.js';
import { Leases } from './sandboxes/leases.js';
import { Orphans } from './sandboxes/orphans.js';
import type { Provider } from '@peerpod-tls/providers';
import { ProviderWatch } from './provider-watch.js';
import { SandboxStore } from './sandboxes/record/store.js';
import { SandboxTable } from './sandboxes/sandbox-table.js';
import type { ShimWatch, ShimWatchOptions } from './sandboxes/shim-watch.js';
import { Sandboxes } from './sandboxes/sandboxes.js';
import { openState } from './state/open-state.js';
import type { StateLock } from './state/state-lock.js';
import { orphansView, readyCheck, sandboxViews, startupCheck, type Phase } from './status.js';

export interface AdaptorParts {
  readonly options: AdaptorOptions;
  readonly provider: Provider;
  readonly log: Logger;
  /** Where kata's shims are looked for, and how often. */
  readonly shims?: Pick<ShimWatchOptions, 'kataDirs' | 'lookMs'>;
  /** What a test shortens: deadlines and pauses of deletions, the redial budget. */
  readonly timing?: Pick<SandboxSettings, 'deletionMs' | 'deletionRetryMs' | 'redialBudgetMs'>;
}

const PROVIDER_CHECK_MS = 60_000;

/** One adaptor: a service to be run, and the addresses it has while it runs. */
export class Adaptor implements Service {
  readonly name = 'adaptor';
  readonly #parts: AdaptorParts;
  readonly #log: Logger;
  readonly #watch: ProviderWatch;
  /** What is open, in the order it was opened; closed from the end. */
  readonly #open: { readonly name: string; close(): Promise<void> }[] = [];
  #phase: Phase = 'starting';
  #identity: Identity | null = null;
  #trust: OpenIdentity | null = null;
  #table: SandboxTable | null = null;
  #dataPath: Generations | null = null;
  #orphans: Orphans | null = null;
  #shims: ShimWatch | null = null;
  #status: StatusServer | null = null;

  constructor(parts: AdaptorParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.#watch = new ProviderWatch({ provider: parts.provider, log: parts.log });
  }

  /** `host:port` of the status server, with the port in use. */
  get statusAddress(): string {
    return this.#status?.address ?? '';
  }

  /** What a parent process is told once this one serves. */
  details(): ReadyDetails {
    const { options, provider } = this.#parts;
    return {
      provider: provider.name,
      mode: options.tls.t,
      socket: this.#socket(),
      status: this.statusAddress,
    };
  }

  async start(signal: AbortSignal): Promise<void> {
    const { options, provider } = this.#parts;
    const metrics = new Metrics({
      sandboxes: () => this.#table?.values() ?? [],
      expiries: () => this.#identity?.expiries() ?? [],
      threads: async () => (await this.#dataPath?.threads()) ?? [],
      withoutShim: () => this.#shims?.gone ?? 0,
      providerReady: () => this.#watch.ready,
      callFigures: async () => (await this.#dataPath?.figures()) ?? '',
    });
    if (options.verifyProvider) await this.#verifyProvider(signal);
    await this.#openState(metrics, signal);
    const status = await this.#openStatus(metrics);
    this.#phase = 'starting';
    this.#own('provider watch', () => this.#watch.close());
    void this.#watch.start();
    this.#identity = await this.#openIdentity(metrics);
    const table = await this.#openTable(this.#identity, metrics);
    signal.throwIfAborted();
    const dataPath = await this.#openDataPath(this.#identity, metrics, signal);
    const deps = this.#depsOf({ table, identity: this.#identity, dataPath, metrics });
    const sandboxes = new Sandboxes(deps);
    this.#own('sandboxes', () => sandboxes.close(deadline(this.#drainMs())));
    const stop = (id: string): Promise<void> => sandboxes.stop(id, new AbortController().signal);
    await sandboxes.resume();
    await dataPath.inherit({
      wants: id => sandboxes.wants(id),
      reopen: id => sandboxes.reopen(id),
      stop,
    });
    signal.throwIfAborted();
    const leases = new Leases({ log: this.#log, exists: id => table.get(id) !== undefined, stop });
    const shims = openShimWatch({
      ...deps,
      reap: options.reapDead,
      graceMs: options.deadGraceMs,
      stop,
      held: id => leases.has(id),
      ...this.#parts.shims,
    });
    this.#shims = shims;
    this.#own('shim watch', () => shims.close());
    const orphans = new Orphans(deps);
    this.#orphans = orphans;
    this.#own('orphan search', () => orphans.close());
    await this.#serveHypervisor(dataPath, sandboxes, table, orphans, leases);
    orphans.watch();
    this.#phase = 'serving';
    this.#log.info(
      {
        provider: provider.name,
        socket: this.#socket(),
        status: status.address,
        mode: options.tls.t,
        stateDir: options.stateDir,
        generation: dataPath.facts.generation,
        proxy: dataPath.facts.pid,
      },
      'adaptor started',
    );
  }

  /** Where shims ask for VMs: what a proxy says that somebody else runs, which may be elsewhere. */
  #socket(): string {
    return this.#dataPath?.facts.socket ?? this.#parts.options.socket;
  }

  /** Before the drain timer of the process, so that what is left is closed rather than cut off. */
  #drainMs(): number {
    return Math.max(100, Math.floor(this.#parts.options.drainMs * 0.8));
  }

  #own(name: string, close: () => Promise<void>): void {
    this.#open.push({ name, close });
  }

  async #verifyProvider(signal: AbortSignal): Promise<void> {
    const { provider } = this.#parts;
    using within = deadline(PROVIDER_CHECK_MS, signal);
    await provider.verify?.(within);
    this.#log.info(
      { provider: provider.name, checked: provider.verify !== undefined },
      'provider configuration checked',
    );
  }

  async #openState(metrics: Metrics, signal: AbortSignal): Promise<void> {
    let lock: StateLock | null = null;
    // First of all that is open, and so the last to be closed: who waits for it finds everything else free.
    this.#own('state lock', async () => lock?.release());
    lock = await openState(this.#parts.options, {
      ms: this.#parts.options.takeoverMs,
      signal,
      log: this.#log,
      onWait: async () => {
        this.#phase = 'standby';
        // The other one may have the port, and then answers for both.
        await this.#openStatus(metrics).catch((err: unknown) =>
          this.#log.info({ err }, 'no status server of its own while waiting'),
        );
      },
    });
  }

  async #openStatus(metrics: Metrics): Promise<StatusServer> {
    if (this.#status !== null) return this.#status;
    const { options } = this.#parts;
    const server = await startStatusServer({
      address: options.statusAddress,
      startup: () => startupCheck(this.#phase),
      ready: () => readyCheck(this.#phase, this.#identity, this.#watch.result),
      metrics: metrics.source,
      routes: {
        '/sandboxes': () => this.#views(),
        '/orphans': () => orphansView(this.#orphans?.report ?? null, this.#parts.provider.name),
      },
      log: this.#log,
    });
    this.#status = server;
    this.#own('status server', () => server.close());
    return server;
  }

  async #views(): Promise<ReturnType<typeof sandboxViews>> {
    const views = new Map((await this.#dataPath?.views())?.map(view => [view.sandbox, view]));
    if (this.#table === null) return { sandboxes: [] };
    return sandboxViews(
      this.#table,
      this.#parts.options.podsDir,
      sandbox => this.#shims?.viewOf(views.get(sandbox.id)) ?? null,
      sandbox => this.#shims?.reasonOf(sandbox.id) ?? '',
    );
  }

  async #openIdentity(metrics: Metrics): Promise<Identity> {
    const { tls, stateDir } = this.#parts.options;
    const trust = await openIdentity({
      tls,
      stateDir,
      log: this.#log,
      onReload: ok => {
        metrics.reloaded(ok);
        // What was read is in force right after this.
        if (ok) queueMicrotask(() => void this.#dataPath?.renewMaterial());
      },
    });
    this.#trust = trust;
    this.#own('identity', () => trust.close());
    return trust.identity;
  }

  async #openTable(identity: Identity, metrics: Metrics): Promise<SandboxTable> {
    const { podsDir, stateDir, forwarderPort } = this.#parts.options;
    const store = new SandboxStore(stateDir, podsDir, this.#log);
    await store.open();
    const { sandboxes, setAside } = await store.load({ tls: identity.mode, port: forwarderPort });
    metrics.setAside(setAside.length);
    if (sandboxes.length > 0) this.#log.info({ count: sandboxes.length }, 'sandboxes loaded');
    this.#table = new SandboxTable(store, sandboxes);
    return this.#table;
  }

  async #openDataPath(identity: Identity, metrics: Metrics, signal: AbortSignal): Promise<Generations> {
    const { options } = this.#parts;
    const dataPath = new Generations({
      stateDir: options.stateDir,
      proxySocket: options.proxySocket,
      settings: {
        socket: options.socket,
        threads: options.dataPathThreads,
        drainMs: options.drainMs,
        logLevel: options.logLevel,
        logFormat: options.logFormat,
      },
      identity,
      onEvent: event => metrics.proxyEvent(event),
      log: this.#log,
    });
    this.#own('data path', () => dataPath.disconnect());
    await dataPath.start(signal);
    this.#dataPath = dataPath;
    return dataPath;
  }

  #depsOf(o: Pick<SandboxDeps, 'table' | 'identity' | 'dataPath' | 'metrics'>): SandboxDeps {
    const { options, provider, timing } = this.#parts;
    return {
      ...o,
      settings: {
        podsDir: options.podsDir,
        forwarderPort: options.forwarderPort,
        proxyTimeoutMs: options.proxyTimeoutMs,
        initdata: options.initdata,
        scratchSpace: options.scratchSpace,
        vmLimit: options.vmLimit,
        createdLimit: options.createdLimit,
        createdMs: options.createdMs,
        ...timing,
      },
      provider,
      providerWatch: this.#watch,
      log: this.#log,
    };
  }

  async #serveHypervisor(
    dataPath: Generations,
    sandboxes: Sandboxes,
    table: SandboxTable,
    orphans: Orphans,
    leases: Leases,
  ): Promise<void> {
    const server = new TtrpcServer({
      services: [...hypervisorServices(sandboxes, table), ...operatorServices(orphans, leases)],
      log: this.#log,
    });
    this.#own('adaptor sockets', async () => {
      this.#phase = 'stopping';
      await dataPath.stopServing();
      // Unanswered: the proxy asks the next adaptor what this one could not answer, and no start fails for a restart.
      server.destroy();
    });
    // Before the sockets: a lease that ends with its connection would stop its sandbox.
    this.#own('leases', async () => leases.close());
    await dataPath.serve(socket => void server.serve(socket));
  }

  /** SIGHUP: the certificates users bring are read again. The other modes have nothing to read. */
  async reload(): Promise<void> {
    await this.#trust?.reload();
    await this.#dataPath?.renewMaterial();
  }

  /** Closes in reverse of opening and keeps going past a failure; VMs are left as they are. */
  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (const part of this.#open.splice(0).toReversed()) {
      try {
        await part.close();
      } catch (error) {
        errors.push(error);
      }
    }
    await this.#parts.provider.close().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw new AggregateError(errors, 'the adaptor did not close cleanly');
  }
}
