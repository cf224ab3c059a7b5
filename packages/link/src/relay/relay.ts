// SPDX-License-Identifier: Apache-2.0
// A relay from its beginning to its end: one downstream, and an upstream that is its own and replaced when it is lost, or
// one that it shares. No frame passes through here: the streams' chunks go to a scanner each, from there to request-side.ts
// and response-side.ts, and from those to the other stream. What a loss means for each open call is in open-calls.ts.
import type { Duplex } from 'node:stream';
import { messageOf } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { isPermanent, LinkError } from '../errors.js';
import { lossCause } from '../liveness/loss.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { CallTable } from './call-table.js';
import { closedBecause } from './closed-because.js';
import { Downstream, type Call } from './downstream.js';
import { endSoon, gone, onClose, readEndOf } from './end-stream.js';
import { Hold } from './flow.js';
import { HealthStandIn } from './health-stand-in.js';
import { Lifetime } from './lifetime.js';
import { plansOf } from './method-plans.js';
import { OpenCalls } from './open-calls.js';
import { startReading } from './reading.js';
import { isResumable } from './relay-stream.js';
import { RequestSide } from './request-side.js';
import { FrameScanner } from './scanner.js';
import type {
  AgentEnd,
  CloseReason,
  InFlightCall,
  LentReads,
  Relay,
  RelayEnd,
  RelayObserver,
  RelayOptions,
} from './types.js';
import { UpstreamOpener } from './upstream-opener.js';
import { Upstream } from './upstream.js';

/** Where a relay gets its upstream from. */
export type UpstreamSource =
  | { readonly t: 'own'; readonly open: RelayOptions['openUpstream']; readonly budgetMs: number | null }
  | {
      readonly t: 'shared';
      readonly acquire: (signal: AbortSignal) => Promise<Upstream>;
      /** Whose calls these are, where a later connection of the same client may take them over. */
      readonly client: string;
    };

const NO_OBSERVER: RelayObserver = {};

/** Starts relaying; the upstream is opened at once. See {@link RelayOptions}. */
export function startRelay(o: RelayOptions): Relay {
  const source = { t: 'own', open: o.openUpstream, budgetMs: o.redial?.budgetMs ?? null } as const;
  return new FrameRelay(o, source, o.upstreamName ?? 'the link to the pod VM', o.agentEnd ?? { near: false });
}

export class FrameRelay implements Relay {
  readonly closed: Promise<CloseReason>;
  readonly #source: UpstreamSource;
  readonly #upstreamName: string;
  readonly #agentEnd: AgentEnd;
  readonly #observer: RelayObserver;
  readonly #log: Logger;
  readonly #halfCloseMs: number;
  readonly #life = new Lifetime();
  /** Ends a dial that is under way with the relay. */
  readonly #dialling = new Lifetime();
  readonly #downstream: Downstream;
  readonly #requestSide: RequestSide;
  readonly #requests: FrameScanner;
  readonly #calls: OpenCalls;
  readonly #health: HealthStandIn;
  readonly #resolveClosed: (reason: CloseReason) => void;
  /** The calls on an upstream of its own, which outlive it; and who opens the next one. */
  readonly #own: { readonly calls: CallTable; readonly opener: UpstreamOpener } | null;
  #upstream: Upstream | null = null;
  #downstreamEnded = false;
  #ended: CloseReason | null = null;
  #draining = false;
  #halfCloseTimer: NodeJS.Timeout | null = null;
  /** How far the downstream had got at the last look for half a frame; -1 when there was none. */
  #chunksAtLook = -1;

  constructor(o: RelayEnd, source: UpstreamSource, upstreamName: string, agentEnd: AgentEnd) {
    this.#source = source;
    this.#upstreamName = upstreamName;
    this.#agentEnd = agentEnd;
    this.#observer = o.observer ?? NO_OBSERVER;
    this.#log = o.log;
    this.#halfCloseMs = o.halfCloseMs ?? 5_000;
    this.#own =
      source.t === 'shared'
        ? null
        : {
            calls: new CallTable(null),
            opener: new UpstreamOpener(source.open, source.budgetMs, o.log),
          };
    const downstream = new Downstream(o.downstream, this.#observer);
    this.#downstream = downstream;
    this.#calls = new OpenCalls(downstream, this.#own?.calls ?? null, upstreamName);
    this.#health = new HealthStandIn(downstream, this.#calls, o.log, o.healthWaitsMs);
    this.#requestSide = new RequestSide({
      downstream,
      plans: plansOf(o.rewrites, this.#observer),
      client: source.t === 'shared' ? source.client : '',
      life: this.#life,
      breakOff: reason => this.#breakOff('downstream-protocol', reason),
    });
    const requests = new FrameScanner(this.#requestSide);
    this.#requests = requests;
    const { stream } = downstream;
    startReading(readEndOf(o.downstream), (bytes, length) => requests.feed(bytes, length));
    downstream.outlet.onDrained = () => {
      downstream.flow.release(Hold.answers);
      this.#upstream?.release(downstream);
    };
    stream.on('end', () => this.#onDownstreamEnd());
    const closed = (error?: Error): void =>
      this.close({ why: 'downstream-closed', ...(error === undefined ? {} : { error }) });
    stream.on('error', closed);
    onClose(stream, closed);
    if (stream.destroyed) queueMicrotask(closed);
    let resolveClosed: (reason: CloseReason) => void = () => {};
    this.closed = new Promise(resolve => (resolveClosed = resolve));
    this.#resolveClosed = resolveClosed;
    void this.#connect(0, null);
  }

  inFlight(): readonly InFlightCall[] {
    const now = performance.now();
    const open = this.#calls.list(this.#upstream).filter(call => !call.answered);
    return open.map(call => ({
      service: call.plan.service,
      method: call.plan.method,
      streamId: call.downstreamId,
      sinceMs: now - call.since,
    }));
  }

  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    this.#requestSide.refuse('this side is shutting down');
    this.#downstream.onAnswered = () => this.#checkIdle();
    const onAbort = (): void => this.close({ why: 'drained' });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else this.#checkIdle();
    await this.closed;
    signal.removeEventListener('abort', onAbort);
  }

  close(reason: CloseReason = { why: 'closed' }): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#requests.stop();
    if (this.#halfCloseTimer !== null) clearTimeout(this.#halfCloseTimer);
    this.#requestSide.unpark();
    this.#downstream.outlet.flush();
    // Rewrites and dials under way end by this signal; the calls that are open end with the streams.
    const why = closedBecause(reason.why);
    this.#life.end(why);
    this.#dialling.end(why);
    const upstream = this.#upstream;
    this.#calls.letGo(upstream);
    this.#setUpstream(null);
    if (upstream !== null && this.#own !== null) {
      upstream.stop();
      endSoon(upstream.stream);
    }
    this.#downstream.leave();
    const last = upstream === null || this.#own === null ? null : gone(upstream.stream);
    void Promise.all([gone(this.#downstream.stream), last]).then(() => this.#resolveClosed(reason));
  }

  /** The upstream is gone: the calls on it are answered or sent again, and the next one is opened, or this ends. */
  upstreamLost(upstream: Upstream): void {
    if (this.#upstream !== upstream || this.#ended !== null) return;
    this.#downstream.outlet.flush();
    this.#setUpstream(null);
    if (this.#own !== null) {
      upstream.stream.destroy();
      if (upstream.proved) this.#own.opener.settled();
    }
    const error = upstream.failure();
    const stopped = this.#agentEnd.near;
    if (!this.#downstreamEnded && !stopped) this.#observer.upstreamLost?.(lossCause(error));
    if (this.#downstream.outlet.midFrame) {
      return this.close({
        why: 'cut-response',
        error: new LinkError('ERR_LINK_CLOSED', 'the upstream was lost inside an answer that was under way'),
      });
    }
    if (this.#downstreamEnded) return this.close({ why: 'downstream-closed' });
    this.#requests.dropRest();
    this.#downstream.flow.release(Hold.full);
    // A shim takes a closed connection for what it is, and a status on a call it would make again for something else.
    const failed = this.#calls.answerLost(upstream, this.#canRedial);
    const open = this.#downstream.open;
    const fields = { failed, open, error: error === null ? undefined : messageOf(error) };
    this.#log.info(fields, stopped ? 'agent ended as it was told' : 'link lost');
    if (stopped) return this.close({ why: 'stopped' });
    if (this.#canRedial && !isPermanent(error)) return void this.#connect(failed, performance.now());
    if (this.#canRedial) this.#observer.notRedialled?.(lossCause(error));
    this.close({ why: 'upstream-lost', ...(error === null ? {} : { error }) });
  }

  /** Called now and then: a downstream that has not sent on with half a frame since the last time has to go. */
  checkHalfFrame(): void {
    const { chunks } = this.#requestSide;
    const { flow, away } = this.#downstream;
    const waits = !this.#requests.clean && !flow.held && !away;
    if (waits && chunks === this.#chunksAtLook) return this.#endSlow('it sent half a frame and no more');
    this.#chunksAtLook = waits ? chunks : -1;
  }

  get #canRedial(): boolean {
    return this.#source.t === 'own' && this.#source.budgetMs !== null;
  }

  #setUpstream(upstream: Upstream | null): void {
    this.#upstream?.delete(this.#downstream);
    this.#upstream = upstream;
    this.#requestSide.upstream = upstream;
    upstream?.add(this.#downstream, reason => this.#endSlow(reason));
    this.#health.end();
    if (upstream === null || this.#own === null || !isResumable(upstream.stream)) return;
    upstream.stream.onAway = away => {
      if (this.#upstream !== upstream) return;
      if (away) this.#health.begin(upstream);
      else this.#health.end();
    };
  }

  #endSlow(reason: string): void {
    this.#log.warn({ reason }, 'relay closed because one side was too slow for the others');
    this.close({ why: 'slow-downstream', error: new LinkError('ERR_LINK_CLOSED', reason) });
    // What it did not read so far it would not read in a second either.
    this.#downstream.stream.destroy();
  }

  #breakOff(why: 'downstream-protocol' | 'upstream-protocol', reason: string): void {
    if (why === 'upstream-protocol') this.#observer.upstreamLost?.('protocol');
    this.#log.warn({ reason }, 'relay closed because of what one side sent');
    this.close({ why, error: new LinkError('ERR_LINK_CLOSED', reason) });
  }

  #onDownstreamEnd(): void {
    if (this.#ended !== null) return;
    this.#downstreamEnded = true;
    if (!this.#requests.clean) {
      this.#observer.protocolError?.('the calling side hung up inside a frame');
      this.#log.debug('the calling side hung up inside a frame');
    }
    const { open, unsent } = this.#downstream;
    const upstream = this.#upstream;
    if (upstream === null || open === 0 || unsent.size > 0 || !this.#requests.clean)
      return this.close({ why: 'downstream-closed' });
    // The downstream may still read: let the upstream see the end where it is ours, answer what it will, and end in its turn.
    if (this.#own !== null) {
      upstream.outlet.flush();
      upstream.stream.end();
    } else this.#downstream.onAnswered = () => this.#checkIdle();
    this.#halfCloseTimer = setTimeout(() => this.close({ why: 'downstream-closed' }), this.#halfCloseMs);
  }

  async #connect(failed: number, lostAt: number | null): Promise<void> {
    let upstream: Upstream;
    try {
      upstream = await this.#nextUpstream();
      this.#dialling.forgetSignal();
    } catch (error) {
      if (this.#ended !== null) return;
      this.#log.warn({ error: messageOf(error), upstreamName: this.#upstreamName }, 'upstream given up');
      if (lostAt !== null) this.#observer.notRedialled?.(lossCause(error));
      if (!this.#canRedial) this.#refuseParked(messageOf(error));
      return this.close({
        why: 'upstream-lost',
        error: error instanceof Error ? error : new Error(String(error)),
      });
    }
    if (this.#ended !== null) {
      if (this.#own !== null) endSoon(upstream.stream);
      return;
    }
    this.#setUpstream(upstream);
    const replayed = this.#calls.sendAgain(upstream);
    // Then what never left.
    this.#requestSide.sendReady();
    if (lostAt !== null) {
      const ms = performance.now() - lostAt;
      this.#observer.redialled?.(ms, replayed, failed);
      this.#log.info({ ms: Math.round(ms), replayed, failed }, 'link redialled');
    }
    for (const chunk of this.#requestSide.unpark()) this.#requests.feed(chunk, chunk.length);
    this.#downstream.flow.release(Hold.parked);
  }

  async #nextUpstream(): Promise<Upstream> {
    if (this.#source.t === 'shared') return this.#source.acquire(this.#dialling.signal);
    if (this.#own === null) throw new Error('internal error: a relay without a place to open its upstream');
    const opened: Duplex | VerifiedPeer | LentReads = await this.#own.opener.open(this.#dialling.signal);
    const upstream: Upstream = new Upstream(opened, {
      calls: this.#own.calls,
      agentEnd: this.#agentEnd,
      observer: this.#observer,
      onLost: () => this.upstreamLost(upstream),
      onBroken: reason => this.#breakOff('upstream-protocol', reason),
    });
    return upstream;
  }

  /** Answers the calls that came while there was no upstream with why there never will be one. */
  #refuseParked(text: string): void {
    this.#requestSide.refuse(text);
    for (const chunk of this.#requestSide.unpark()) this.#requests.feed(chunk, chunk.length);
  }

  /** Ends what only waited for answers: a drain, save for calls that may wait for ever, or a downstream that hung up half. */
  #checkIdle(): void {
    if (this.#ended !== null || this.#downstream.outlet.midFrame) return;
    if (this.#downstreamEnded && this.#downstream.open === 0) return this.close({ why: 'downstream-closed' });
    if (!this.#draining) return;
    const endless = (call: Call): boolean => call.answered || call.plan.traits.blocks;
    if (this.#calls.list(this.#upstream).every(endless)) this.close({ why: 'drained' });
  }
}
