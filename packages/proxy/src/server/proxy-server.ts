// SPDX-License-Identifier: Apache-2.0
// A proxy's life: comes up with what it had, serves shims and whoever drives it, gives up its place to a newer one, and
// ends when it was told to, or has nothing left to do. What each call does is in the rooms beside.
import type { Socket } from 'node:net';
import { deadline } from '@peerpod-tls/base';
import { listenUnixSocket, type Service, type UnixListener } from '@peerpod-tls/daemon';
import { TtrpcServer } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import type { SandboxView } from '../control/index.js';
import { AdaptorConnection } from '../front/adaptor-connection.js';
import { AdaptorPresence } from '../front/adaptor-presence.js';
import { HypervisorCalls } from '../front/calls.js';
import { HypervisorFront } from '../front/hypervisor-front.js';
import { PendingStops } from '../front/pending-stops.js';
import { StopsToCome } from '../front/stops-to-come.js';
import { openDataPlane } from '../open.js';
import { ControlPeer, controlService } from './control-service.js';
import { EventLog } from './events.js';
import { HeldMaterial } from './held-material.js';
import { OpenSandboxes } from './open-sandboxes.js';
import { ProxyStore, type Stored } from './proxy-store.js';

export interface ProxyServerOptions {
  /** Of its generation; where its own sockets and files are. */
  readonly directory: string;
  /** The socket shims ask for VMs on; taken from whoever listens there. */
  readonly socket: string;
  readonly generation: string;
  /** Threads that carry data; 1: the calling one. */
  readonly threads: number;
  /** How long to wait for the StopVM of each pod whose connections are closed at the end, in milliseconds. */
  readonly drainMs: number;
  /** It was told to end, or has nothing left to do: whoever started it closes it. Called once at most. */
  readonly onEnd: () => void;
  readonly log: Logger;
}

/** How long an answer may take to be written at the end, in milliseconds. */
const LAST_ANSWERS_MS = 300;
/** A shim that was just told of its socket connects within this, in milliseconds. */
const CONNECT_MS = 60_000;

interface Parts {
  readonly server: TtrpcServer;
  readonly sandboxes: OpenSandboxes;
  readonly stops: PendingStops;
  readonly hypervisor: HypervisorFront;
}

export class ProxyServer implements Service {
  readonly name = 'proxy';
  readonly #o: ProxyServerOptions;
  readonly #log: Logger;
  readonly #store: ProxyStore;
  readonly #events = new EventLog();
  readonly #presence = new AdaptorPresence();
  readonly #startedAt = new Date().toISOString();
  #control: UnixListener | null = null;
  #parts: Parts | null = null;
  #retired = false;
  /** What is waited for while it ends; null before. */
  #toCome: StopsToCome | null = null;
  #told = false;
  #closing: Promise<void> | null = null;

  constructor(o: ProxyServerOptions) {
    this.#o = o;
    this.#log = o.log;
    this.#store = new ProxyStore(o.directory, o.log);
  }

  /** @throws FileError, DaemonError: its directory or one of its sockets cannot be had, or another proxy has them */
  async start(): Promise<void> {
    await this.#store.open();
    // First of all, since it tells whether another proxy has this directory.
    this.#control = await listenUnixSocket({
      path: this.#store.files.controlSocket,
      onConnection: connection => this.#accept(connection),
      log: this.#log,
    });
    let begin = (): void => {};
    const started = new Promise<void>(resolve => (begin = resolve));
    const stored = this.#store.read();
    const parts = this.#assemble(stored, started);
    this.#parts = parts;
    try {
      await this.#comeUp(parts, stored);
    } catch (error) {
      await this.close();
      throw error;
    }
    begin();
    this.#endIfNothingIsLeft();
  }

  /** What a parent process is told. */
  details(): Readonly<Record<string, string>> {
    return { control: this.#store.files.controlSocket, socket: this.#parts?.hypervisor.socket ?? '' };
  }

  /** Closes the connections of pods and waits for the StopVM of each, so that none is lost. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#told = true;
    const parts = this.#parts;
    if (parts !== null) {
      const { hypervisor, sandboxes, stops } = parts;
      const views = hypervisor.socket === '' ? [] : await sandboxes.views();
      this.#toCome = new StopsToCome(views.filter(expectsStop).map(({ sandbox }) => sandbox));
      await sandboxes.end();
      await this.#untilStopped(this.#toCome);
      using last = deadline(LAST_ANSWERS_MS);
      await hypervisor.close(last);
      await stops.end();
      // Nothing is left that the next one in this directory would have to go on with.
      if (this.#retired && sandboxes.idle && stops.ids.length === 0) this.#store.forgetRetired();
    }
    await this.#control?.close();
    using last = deadline(LAST_ANSWERS_MS);
    await parts?.server.drain(last);
  }

  #accept(connection: Socket): void {
    if (this.#parts === null) {
      connection.destroy();
      return;
    }
    const peer = new ControlPeer();
    void this.#parts.server.serve(connection, peer).closed.then(() => this.#presence.left(peer));
  }

  #assemble(stored: Stored, started: Promise<void>): Parts {
    const { socket, threads, generation } = this.#o;
    const log = this.#log;
    const store = this.#store;
    const presence = this.#presence;
    const { adaptorSocket } = store.files;
    const onFewer = (): void => this.#endIfNothingIsLeft();
    const material = new HeldMaterial(stored.material);
    const plane = openDataPlane({
      threads,
      security: name => material.security(name),
      onEvent: (event, sandbox) => this.#events.add(event, sandbox),
      log,
    });
    const sandboxes = new OpenSandboxes({ plane, store, leaving: () => this.#why(), onFewer, log });
    const stops = new PendingStops(
      { store, presence, connection: new AdaptorConnection(adaptorSocket, presence), onFewer, log },
      stored.stops,
    );
    const calls = new HypervisorCalls({
      presence,
      stops,
      onStop: (sandbox, how) => this.#onStop(sandbox, how.left, sandboxes),
      ending: () => this.#toCome !== null,
      log,
    });
    const hypervisor = new HypervisorFront({
      socket,
      adaptorSocket,
      presence,
      calls,
      onAnswered: onFewer,
      log,
    });
    const server = new TtrpcServer({
      services: [
        controlService({
          plane,
          sandboxes,
          material,
          store,
          events: this.#events,
          presence,
          facts: () => ({
            generation,
            startedAt: this.#startedAt,
            socket: hypervisor.socket,
            retired: this.#retired,
            pendingStops: stops.ids,
          }),
          started,
          onServed: () => stops.deliver(),
          retire: () => this.#retire(hypervisor),
          stop: now => this.#stop(now, sandboxes),
          log,
        }),
      ],
      log,
    });
    return { server, sandboxes, stops, hypervisor };
  }

  async #comeUp({ sandboxes, hypervisor }: Parts, stored: Stored): Promise<void> {
    const stopped = new Set(stored.stops);
    for (const { sandbox } of stored.sandboxes) if (stopped.has(sandbox)) this.#store.forgetSandbox(sandbox);
    const left = stored.sandboxes.filter(({ sandbox }) => !stopped.has(sandbox));
    // The mark of one that ended is not for the one that is started in its place.
    this.#retired = stored.retired && left.length + stored.stops.length > 0;
    if (stored.retired && !this.#retired) this.#store.forgetRetired();
    await sandboxes.openAgain(left);
    if (!this.#retired) await hypervisor.listen();
    this.#log.info(
      {
        generation: this.#o.generation,
        socket: hypervisor.socket,
        sandboxes: sandboxes.size,
        pendingStops: stored.stops.length,
      },
      'proxy listened',
    );
  }

  #why(): 'retired' | 'stopping' | null {
    return this.#told ? 'stopping' : this.#retired ? 'retired' : null;
  }

  /** A StopVM is on disk. With `left` the adaptor hears of it later. */
  #onStop(sandbox: string, left: boolean, sandboxes: OpenSandboxes): void {
    this.#toCome?.came(sandbox);
    if (this.#toCome !== null) this.#store.forgetSandbox(sandbox);
    // Its shim has gone, and its VM goes with the next adaptor: nobody may connect to it again.
    else if (left)
      sandboxes.close(sandbox).catch((err: unknown) => {
        this.#log.error({ err, sandbox }, 'socket of a stopped sandbox not closed');
      });
  }

  async #retire(hypervisor: HypervisorFront): Promise<void> {
    if (this.#retired) return;
    await this.#store.keepRetired();
    this.#retired = true;
    await hypervisor.giveUp();
    this.#log.info({ generation: this.#o.generation }, 'proxy retired');
    setImmediate(() => this.#endIfNothingIsLeft());
  }

  async #stop(
    now: boolean,
    sandboxes: OpenSandboxes,
  ): Promise<{ readonly stopping: boolean; readonly sandboxes: readonly SandboxView[] }> {
    const views = await sandboxes.views();
    if (!now && !sandboxes.idle) return { stopping: false, sandboxes: views };
    this.#log.info({ now, sandboxes: views.length }, 'proxy told to stop');
    this.#end();
    return { stopping: true, sandboxes: views };
  }

  #endIfNothingIsLeft(): void {
    const parts = this.#parts;
    if (!this.#retired || this.#told || parts === null) return;
    const { sandboxes, stops, hypervisor } = parts;
    if (!sandboxes.idle || stops.ids.length > 0 || hypervisor.openCalls > 0) return;
    this.#log.info({ generation: this.#o.generation }, 'retired proxy has nothing left to do');
    this.#end();
  }

  #end(): void {
    if (this.#told) return;
    this.#told = true;
    // What was asked is answered first.
    setImmediate(() => this.#o.onEnd());
  }

  async #untilStopped(toCome: StopsToCome): Promise<void> {
    const { drainMs } = this.#o;
    const expected = toCome.left.length;
    if (expected === 0) return;
    this.#log.info(
      { sandboxes: expected, drainMs },
      'connections of pods closed, their StopVM is waited for',
    );
    using until = deadline(drainMs);
    if (await toCome.untilAll(until)) return;
    this.#log.warn({ sandboxes: toCome.left, drainMs }, 'pods did not stop their VMs in time');
  }
}

/** Whose shim is connected, or is about to be, calls StopVM when the connection is gone; whose shim has left does not. */
function expectsStop({ connections, lastClosedAt, openedAt }: SandboxView): boolean {
  return connections > 0 || (lastClosedAt === null && Date.now() - Date.parse(openedAt) < CONNECT_MS);
}
