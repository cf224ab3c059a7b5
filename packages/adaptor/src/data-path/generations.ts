// SPDX-License-Identifier: Apache-2.0
// Every proxy there is as one data path. New sandboxes go to the current one; others serve what they have and end by
// themselves. Of those that are dead, what was left to be done is done, and their running sandboxes move.
import { reasonOf, sleep } from '@peerpod-tls/base';
import { listenUnixSocket, type UnixListener } from '@peerpod-tls/daemon';
import {
  proxyFiles,
  type AgentAnswer,
  type ProxyEvent,
  type ProxySpec,
  type ProxyView,
  type ThreadView,
} from '@peerpod-tls/proxy/control';
import type { Identity } from '@peerpod-tls/trust';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { currentProxy, proxyDirectory } from './current-proxy.js';
import type { DataPath } from './data-path.js';
import { DrivenProxy, type ProxyFacts } from './driven-proxy.js';
import type { ProxySettings } from './generation-name.js';
import { generationDirectory, generationsIn, leftWork, removeGeneration } from './left-generation.js';
import { MaterialInForce } from './material-in-force.js';
import { systemdRunsProxies } from './proxy-program.js';
import { sumFigures } from './sum-figures.js';

/** How often, and how long apart, systemd is given time to start a killed proxy again. */
const SYSTEMD_LOOKS = 5;
const SYSTEMD_PAUSE_MS = 100;

/** Who has the sandboxes whose sockets these are. */
export interface SandboxOwner {
  /** Whether a sandbox's socket is to be open. */
  wants(sandbox: string): boolean;
  /** Opens the socket of a running sandbox. Never rejects. */
  reopen(sandbox: string): Promise<void>;
  /** Carries out a StopVM that was taken while no adaptor was there. */
  stop(sandbox: string): Promise<void>;
}

export interface GenerationsOptions {
  readonly stateDir: string;
  /** Control socket of a proxy that somebody else runs; null: one is started. */
  readonly proxySocket: string | null;
  readonly settings: ProxySettings;
  readonly identity: Pick<Identity, 'mode' | 'security'>;
  readonly onEvent: (event: ProxyEvent) => void;
  readonly log: Logger;
}

export class Generations implements DataPath {
  readonly #o: GenerationsOptions;
  readonly #material: MaterialInForce;
  #current: DrivenProxy | null = null;
  readonly #others = new Map<string, DrivenProxy>();
  /** Generations whose proxy is dead, until what they left is done. */
  readonly #dead = new Set<string>();
  readonly #listeners: UnixListener[] = [];
  #owner: SandboxOwner | null = null;
  /** Figures of proxies that have ended, as last read: sums must not go down. */
  #before = '';
  #closing = false;

  constructor(o: GenerationsOptions) {
    this.#o = o;
    this.#material = new MaterialInForce(o.identity);
  }

  /** Finds the proxies there are, and starts one of this generation when there is none. */
  async start(signal: AbortSignal): Promise<void> {
    const found = await generationsIn(proxyDirectory(this.#o.stateDir));
    await Promise.all(found.map(name => this.#join(name, signal)));
    const { proxy, generation } = await currentProxy(
      {
        ...this.#o,
        material: this.#material,
        known: [...this.#others.values()].map(({ facts }) => facts),
        onGreeted: before => this.#onGreeted(this.#current, before),
      },
      signal,
    );
    this.#current = proxy;
    this.#dead.delete(generation ?? '');
    await this.#leave(generation ?? '');
    for (const each of this.#all()) each.watch();
    await Promise.all([...this.#others].map(([name, other]) => this.#retire(name, other)));
  }

  /** What the current proxy says of itself. */
  get facts(): ProxyFacts {
    return this.#now().facts;
  }

  /** Whose sandboxes these are. What dead proxies left is done from here on. */
  async inherit(owner: SandboxOwner): Promise<void> {
    this.#owner = owner;
    for (const proxy of this.#all()) this.#closeUnwanted(proxy, owner);
    await Promise.all([...this.#dead].map(name => this.#bury(name)));
  }

  /** Serves the calls of shims, whichever proxy they come from. */
  async serve(onConnection: (socket: Socket) => void): Promise<void> {
    const { log } = this.#o;
    const serve = async (proxy: DrivenProxy): Promise<void> => {
      this.#listeners.push(await listenUnixSocket({ path: proxy.facts.adaptorSocket, onConnection, log }));
      await proxy.serve();
    };
    await serve(this.#now());
    for (const [generation, proxy] of this.#others) {
      await serve(proxy).catch((err: unknown) =>
        // Retired, one without a sandbox is about to end, or has.
        log.warn({ err, generation, reason: reasonOf(err) }, 'proxy of another generation not served'),
      );
    }
  }

  /** Takes no call of shims any more: their proxies keep them for the next adaptor. */
  async stopServing(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) await listener.close();
  }

  /** Tells every proxy what links are dialled with from now on. Never rejects: one that is away is told when it is back. */
  async renewMaterial(): Promise<void> {
    await Promise.all(
      this.#all().map(proxy =>
        proxy
          .renewMaterial()
          .catch((err: unknown) =>
            this.#o.log.warn({ err, reason: reasonOf(err) }, 'proxy not told of new certificates'),
          ),
      ),
    );
  }

  awaitAgent(
    spec: ProxySpec,
    o: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<AgentAnswer> {
    return this.#homeOf(spec.sandbox).awaitAgent(spec, o);
  }

  open(spec: ProxySpec): Promise<void> {
    return this.#homeOf(spec.sandbox).open(spec);
  }

  close(sandbox: string): Promise<void> {
    return this.#homeOf(sandbox).close(sandbox);
  }

  holds(sandbox: string): boolean {
    return this.#all().some(({ held }) => held.has(sandbox));
  }

  async views(): Promise<readonly ProxyView[]> {
    const looks = await Promise.all(this.#all().map(proxy => proxy.look()));
    return looks.flatMap(({ sandboxes }) => sandboxes);
  }

  /** Threads of the same number in several proxies count as one. */
  async threads(): Promise<readonly ThreadView[]> {
    const looks = await Promise.all(this.#all().map(proxy => proxy.look()));
    const sums = new Map<number, ThreadView>();
    for (const view of looks.flatMap(({ threads }) => threads)) {
      const sum = sums.get(view.thread);
      sums.set(
        view.thread,
        sum === undefined
          ? view
          : {
              thread: view.thread,
              sandboxes: sum.sandboxes + view.sandboxes,
              connections: sum.connections + view.connections,
              busySeconds: sum.busySeconds + view.busySeconds,
            },
      );
    }
    return [...sums.values()].toSorted((a, b) => a.thread - b.thread);
  }

  async figures(): Promise<string> {
    const texts = await Promise.all(this.#all().map(proxy => proxy.figures()));
    return sumFigures([...texts, ...(this.#before === '' ? [] : [this.#before])]);
  }

  /** Lets go of every proxy; they go on. */
  async disconnect(): Promise<void> {
    this.#closing = true;
    await this.stopServing();
    await Promise.all(this.#all().map(proxy => proxy.disconnect()));
  }

  /** A proxy that was there before this adaptor: driven when it lives, else noted as dead. */
  async #join(generation: string, signal: AbortSignal): Promise<void> {
    const { log, stateDir } = this.#o;
    let absent = 0;
    const proxy: DrivenProxy = new DrivenProxy({
      ...this.#o,
      controlSocket: proxyFiles(generationDirectory(stateDir, generation)).controlSocket,
      material: this.#material,
      onGreeted: before => {
        absent = 0;
        this.#onGreeted(this.#others.get(generation) ?? null, before);
      },
      onGone: async stopping => {
        // systemd needs a moment to start one again that was killed; nobody else does.
        if (systemdRunsProxies() && absent < SYSTEMD_LOOKS) {
          absent += 1;
          await sleep(SYSTEMD_PAUSE_MS, stopping);
          return 'again';
        }
        this.#lost(generation);
        return 'give-up';
      },
    });
    try {
      await proxy.start(signal);
      this.#others.set(generation, proxy);
    } catch (error) {
      if (signal.aborted) throw error;
      if (!this.#dead.has(generation))
        log.error(
          { err: error, generation, reason: reasonOf(error) },
          'proxy of another generation left alone',
        );
      await proxy.disconnect();
    }
  }

  async #retire(generation: string, proxy: DrivenProxy): Promise<void> {
    const { log } = this.#o;
    if (proxy.facts.retired) return;
    try {
      await proxy.retire();
      log.info({ generation, sandboxes: proxy.held.size }, 'proxy of another generation retired');
    } catch (err) {
      // Retired, one without a sandbox ends at once.
      if (!this.#others.has(generation)) return;
      log.error({ err, generation, reason: reasonOf(err) }, 'proxy of another generation not retired');
    }
  }

  /** Lets go of the one that turned out to be the current, which is driven by now. */
  async #leave(generation: string): Promise<void> {
    const same = this.#others.get(generation);
    this.#others.delete(generation);
    await same?.disconnect();
  }

  #lost(generation: string): void {
    const proxy = this.#others.get(generation);
    this.#others.delete(generation);
    this.#dead.add(generation);
    if (proxy === undefined) return;
    this.#before = sumFigures([proxy.lastFigures, this.#before]);
    void this.#bury(generation);
  }

  /** Does what a dead proxy left to be done, and removes its directory. Once there is an owner of sandboxes to ask. */
  async #bury(generation: string): Promise<void> {
    const owner = this.#owner;
    if (owner === null || this.#closing || !this.#dead.delete(generation)) return;
    const { log, stateDir } = this.#o;
    const directory = generationDirectory(stateDir, generation);
    try {
      const { stops, sandboxes } = await leftWork(directory);
      await Promise.all(stops.map(id => stopped(owner, id, log)));
      const moved = sandboxes.filter(id => owner.wants(id) && !this.holds(id));
      await Promise.all(moved.map(id => owner.reopen(id)));
      await removeGeneration(directory);
      log.info(
        { generation, stops: stops.length, moved: moved.length },
        'proxy of another generation is gone',
      );
    } catch (err) {
      this.#dead.add(generation);
      log.error(
        { err, generation, directory, reason: reasonOf(err) },
        'directory of a dead proxy not removed',
      );
    }
  }

  /** A proxy that was started again has what it had; if it has not, it is told anew. */
  #onGreeted(proxy: DrivenProxy | null, before: ReadonlySet<string>): void {
    const owner = this.#owner;
    if (proxy === null || owner === null) return;
    this.#closeUnwanted(proxy, owner);
    for (const id of before) {
      if (!proxy.held.has(id) && owner.wants(id) && !proxy.expects(id)) void owner.reopen(id);
    }
  }

  #closeUnwanted(proxy: DrivenProxy, owner: SandboxOwner): void {
    for (const sandbox of proxy.held) {
      if (owner.wants(sandbox) || proxy.expects(sandbox)) continue;
      this.#o.log.warn({ sandbox }, 'socket of a sandbox that is not running closed');
      proxy.close(sandbox).catch((err: unknown) => this.#o.log.warn({ err, sandbox }, 'socket not closed'));
    }
  }

  #now(): DrivenProxy {
    if (this.#current === null) throw new Error('internal error: a data path that was not started');
    return this.#current;
  }

  #all(): DrivenProxy[] {
    return this.#current === null ? [] : [this.#current, ...this.#others.values()];
  }

  #homeOf(sandbox: string): DrivenProxy {
    return this.#all().find(({ held }) => held.has(sandbox)) ?? this.#now();
  }
}

async function stopped(owner: SandboxOwner, sandbox: string, log: Logger): Promise<void> {
  try {
    await owner.stop(sandbox);
    log.info({ sandbox }, 'stop of a dead proxy carried out');
  } catch (err) {
    // Noted as stopping, it is tried again until it is gone; or it is not known any more.
    log.warn({ err, sandbox, reason: reasonOf(err) }, 'stop of a dead proxy not carried out');
  }
}
