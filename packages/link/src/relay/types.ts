// SPDX-License-Identifier: Apache-2.0
// What a relay is asked for and what it tells. No behaviour here.
import type { Duplex } from 'node:stream';
import type { RewriteResult } from '@peerpod-tls/agent-protocol/wire';
import type { Logger } from 'pino';
import type { RelayStream } from './relay-stream.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import type { LossCause } from '../liveness/loss.js';

/** What a rewrite comes to: see agent-protocol. */
export type RewriteOutcome = RewriteResult;

export interface RewriteContext {
  readonly service: string;
  readonly method: string;
  /** Aborted when the downstream hung up or the relay closed: nobody waits for the outcome any more. */
  readonly signal: AbortSignal;
  /** The caller's own deadline in milliseconds from now; null when it set none. */
  readonly timeoutMs: number | null;
}

/** A change to the requests of one method. All others pass untouched and uncollected. */
export interface Rewrite {
  readonly service: string;
  readonly method: string;
  /**
   * Judges one request message; a view that must not be written to. When a promise is returned, only this call waits:
   * later calls pass it. Throwing answers the call with Internal.
   */
  apply(message: Buffer, context: RewriteContext): RewriteOutcome | Promise<RewriteOutcome>;
}

/** A stream whose reads are lent: see reading.ts. */
export interface LentReads<Stream extends RelayStream = RelayStream> {
  readonly stream: Stream;
  /** Starts reading. What was read, the first `length` bytes, is lent until the listener returns. */
  readLent(listener: (bytes: Buffer, length: number) => void): void;
}

/** Opens the far side of a relay. The signal is aborted when the downstream is gone or the time for it is over. */
export type Backend = (signal: AbortSignal) => Promise<Duplex | VerifiedPeer | LentReads>;

/** `status` is a ttrpc status code, `ms` the time from the request's first byte to the response's. */
export type CallEnded = (status: number, ms: number) => void;

/** Hooks for metrics. Each costs nothing when absent; none may throw. */
export interface RelayObserver {
  callStarted?(service: string, method: string): void;
  /** Asked once per method and relay for whom to tell of each end of a call of it. */
  counter?(service: string, method: string): CallEnded;
  /** Bytes passed on, headers included. */
  bytes?(direction: 'request' | 'response', count: number): void;
  /** An upstream that stood was lost, while the downstream was still there. */
  upstreamLost?(cause: LossCause): void;
  /** A lost upstream was not replaced: the last try's cause. The relay ends. */
  notRedialled?(cause: LossCause): void;
  /** A lost upstream was replaced after `ms`; so many calls were sent again, so many answered Unavailable. */
  redialled?(ms: number, replayed: number, failed: number): void;
  /** Something came that the protocol does not allow; `reason` is one of a small closed set of texts. */
  protocolError?(reason: string): void;
}

/** What a relay with a connection of its own and one that shares have in common. */
export interface RelayEnd {
  /** The side that calls. The relay owns it, and the buffers it reads from it. */
  readonly downstream: Duplex | VerifiedPeer | LentReads;
  readonly rewrites: readonly Rewrite[];
  readonly observer?: RelayObserver;
  readonly log: Logger;
  /** How long calls may take to end once the downstream has stopped sending, in milliseconds. Default 5 000. */
  readonly halfCloseMs?: number;
  /** How long a health check waits for a link that is being resumed before it is answered without it, in milliseconds. */
  readonly healthWaitsMs?: number;
}

export interface RelayOptions extends RelayEnd {
  readonly openUpstream: Backend;
  /**
   * Null: a lost upstream ends the relay. Else the time to replace it in, in milliseconds; 20 000 is what a shim's own
   * 30 s health check leaves room for. Counts for the first open too.
   */
  readonly redial: { readonly budgetMs: number } | null;
  /** What the upstream is called in the status a caller reads. Default `the link to the pod VM`. */
  readonly upstreamName?: string;
  /** What the relays of one sandbox share. Default its own. */
  readonly agentEnd?: AgentEnd;
}

/** `near` once an agent was told to end (DestroySandbox): what is lost then is no loss, and is not redialled. */
export interface AgentEnd {
  near: boolean;
}

/**
 * Why a relay ended. `error` is what caused it, where there is something to say.
 *
 * - `stopped` the agent was told to end, and did · `cut-response` the upstream was lost inside an answer under way
 * - `slow-downstream` it did not read, or not send the other half of a frame, while others waited
 */
export interface CloseReason {
  readonly why:
    | 'downstream-closed'
    | 'upstream-lost'
    | 'downstream-protocol'
    | 'upstream-protocol'
    | 'cut-response'
    | 'slow-downstream'
    | 'stopped'
    | 'drained'
    | 'closed';
  readonly error?: Error;
}

/** One call on its way, for people and for decisions about a drain. */
export interface InFlightCall {
  readonly service: string;
  readonly method: string;
  /** The stream id the downstream uses. */
  readonly streamId: number;
  readonly sinceMs: number;
}

export interface Relay {
  /** Resolves, never rejects, when both ends are gone. */
  readonly closed: Promise<CloseReason>;
  close(reason?: CloseReason): void;
  inFlight(): readonly InFlightCall[];
  /** Answers new calls Unavailable, lets open ones end (save those that may wait for ever), then closes; at once when `signal` is aborted. */
  drain(signal: AbortSignal): Promise<void>;
}
