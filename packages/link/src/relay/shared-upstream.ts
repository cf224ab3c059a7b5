// SPDX-License-Identifier: Apache-2.0
// One connection to the agent for all relays, held for as long as it lives: kata-agent removes its own socket when it
// creates its sandbox, and whoever has no connection by then gets none any more. How it is opened is the caller's.
import type { Duplex } from 'node:stream';
import { abortable, Backoff, messageOf, sleep } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { lossCause } from '../liveness/loss.js';
import { Adoption } from './adoption.js';
import { CallTable } from './call-table.js';
import { closedBecause } from './closed-because.js';
import { endSoon, gone, streamOf } from './end-stream.js';
import { FrameRelay } from './relay.js';
import type { LentReads, Relay, RelayEnd, RelayObserver } from './types.js';
import { Upstream } from './upstream.js';

/** Between two looks for relays that stopped inside a frame, in milliseconds: they have one to two of these. */
const HALF_FRAME_MS = 15_000;

export interface SharedUpstreamOptions {
  /** Opens the connection. Tries for as long as it takes, and ends with the signal. */
  open(signal: AbortSignal): Promise<Duplex | LentReads>;
  /** What it is called in the status a caller reads. */
  readonly name: string;
  /** Told of what the upstream may not send. */
  readonly observer?: RelayObserver;
  readonly log: Logger;
  /** See the constant of this name. */
  readonly halfFrameMs?: number;
}

export interface SharedRelayOptions extends RelayEnd {
  /** Whose calls these are: the next connection of the same client takes over those that wait. */
  readonly client: string;
  /** Waits for the connection. Default as long as it takes. */
  readonly within?: (connected: Promise<void>, signal: AbortSignal) => Promise<void>;
}

export class SharedUpstream {
  readonly #o: SharedUpstreamOptions;
  readonly #abort = new AbortController();
  readonly #agentEnd = { near: false };
  readonly #relays = new Set<FrameRelay>();
  readonly #halfFrames: NodeJS.Timeout;
  readonly #kept: Promise<void>;
  #upstream: Upstream | null = null;
  #connected: Promise<void>;
  #onConnected: () => void = () => {};

  /** Opens the connection at once, and again whenever it is lost. */
  constructor(o: SharedUpstreamOptions) {
    this.#o = o;
    this.#connected = this.#nextConnection();
    this.#halfFrames = setInterval(() => {
      for (const relay of this.#relays) relay.checkHalfFrame();
    }, o.halfFrameMs ?? HALF_FRAME_MS).unref();
    this.#kept = this.#keep();
  }

  /** Whether calls that come now reach the agent. */
  get connected(): boolean {
    return this.#upstream !== null;
  }

  /** Starts relaying from one more downstream. */
  relay(o: SharedRelayOptions): Relay {
    const acquire = async (signal: AbortSignal): Promise<Upstream> => {
      for (;;) {
        if (this.#upstream !== null) return this.#upstream;
        await (o.within ?? abortable)(this.#connected, signal);
      }
    };
    const source = { t: 'shared', acquire, client: o.client } as const;
    const relay = new FrameRelay(o, source, this.#o.name, this.#agentEnd);
    this.#relays.add(relay);
    void relay.closed.then(() => this.#relays.delete(relay));
    return relay;
  }

  /** Ends the connection, once the relays have been ended. */
  async close(): Promise<void> {
    this.#abort.abort(closedBecause('closed'));
    clearInterval(this.#halfFrames);
    await this.#kept;
  }

  #nextConnection(): Promise<void> {
    return new Promise(resolve => (this.#onConnected = resolve));
  }

  async #keep(): Promise<void> {
    const { signal } = this.#abort;
    const pause = new Backoff({ firstMs: 25, longestMs: 1_000 });
    while (!signal.aborted) {
      try {
        const opened = await this.#o.open(signal);
        if (signal.aborted) return void streamOf(opened).destroy();
        const proved = await this.#serve(opened);
        if (proved) pause.reset();
        // One that takes connections and ends them must not keep us busy.
        else await sleep(pause.next(), signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#o.log.error({ error: messageOf(error) }, 'upstream not opened');
        await sleep(pause.next(), signal).catch(() => {});
      }
    }
  }

  /** Resolves when the connection is gone: whether it was a good one. */
  async #serve(opened: Duplex | LentReads): Promise<boolean> {
    const stream = streamOf(opened);
    const { signal } = this.#abort;
    this.#agentEnd.near = false;
    let broken: string | null = null;
    let onAbort = (): void => {};
    const upstream: Upstream = await new Promise(resolve => {
      const made: Upstream = new Upstream(opened, {
        calls: new CallTable(new Adoption()),
        agentEnd: this.#agentEnd,
        observer: this.#o.observer ?? {},
        onLost: () => resolve(made),
        onBroken: reason => {
          broken = reason;
          made.stop();
          resolve(made);
        },
      });
      this.#upstream = made;
      this.#onConnected();
      onAbort = () => resolve(made);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    signal.removeEventListener('abort', onAbort);
    this.#upstream = null;
    this.#connected = this.#nextConnection();
    const error = broken ?? messageOf(upstream.failure() ?? 'it hung up');
    const fields = { upstream: this.#o.name, error, cause: lossCause(upstream.failure()) };
    if (this.#agentEnd.near) this.#o.log.info(fields, 'agent connection ended, as it was told');
    else if (!signal.aborted) this.#o.log.warn(fields, 'agent connection lost');
    for (const relay of this.#relays) relay.upstreamLost(upstream);
    upstream.stop();
    endSoon(stream);
    await gone(stream);
    return upstream.proved;
  }
}
