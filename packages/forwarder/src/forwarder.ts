// SPDX-License-Identifier: Apache-2.0
// The forwarder as one object: it holds one connection to the agent for its life, listens for adaptors, relays each
// verified link to the agent, swaps its material on a reload and drains when closed. Flags, signals and the status endpoint
// are main.ts's.
import { abortable, abortReason, deadline } from '@peerpod-tls/base';
import { listenLink, lossCause, SessionTable, SharedUpstream } from '@peerpod-tls/link';
import type {
  CloseReason,
  LentReads,
  LinkListener,
  LossCause,
  PeerInfo,
  Relay,
  Rewrite,
  SessionCounts,
  VerifiedPeer,
} from '@peerpod-tls/link';
import type { Logger } from 'pino';

import { checkAgentSocket } from './abstract-socket.js';
import { AgentSocket } from './agent-socket.js';
import { Counters } from './counters.js';
import { forwarderRewrites } from './rewrites.js';
import { unnamedClient } from '@peerpod-tls/trust';
import { openServing } from './live-serving.js';
import type { LiveServing } from './live-serving.js';
import type { ForwarderOptions, ListenAddress } from './options.js';

export interface Forwarder {
  /** Says on each line whose forwarder this is: sandbox and pod, as far as the adaptor told. */
  readonly log: Logger;
  /** The address actually bound. */
  readonly address: ListenAddress;
  /** Links open now. */
  links(): number;
  /** Of the links that can be resumed, how many stand and how many wait for their client. */
  sessions(): SessionCounts;
  /** What calls would meet: null while the connection to the agent stands, else why there is none. */
  agentTrouble(): Promise<string | null>;
  /** When the material in force ends; null when plain text is served. */
  expiresAt(): Date | null;
  /** Why the files do not say what is in force; null while they do. */
  trustTrouble(): string | null;
  /**
   * Reads the files again; new links get the new material, open ones stay. A rejection leaves everything as it was.
   * @throws what starting would throw
   */
  reload(): Promise<void>;
  /** Takes no more links, lets open calls end until `signal` is aborted, then closes what is left. */
  close(signal: AbortSignal): Promise<void>;
}

export interface ForwarderContext {
  readonly log: Logger;
  readonly counters?: Counters;
}

/**
 * Reads and checks everything, then connects to the agent and listens. The agent need not be there yet: it is tried until
 * it is, from the start on, since it removes its socket once its sandbox is made; links wait for it.
 * @throws ForwarderError, CertError, UserDataError or LinkError, before or instead of listening
 */
export async function startForwarder(
  options: ForwarderOptions,
  context: ForwarderContext,
): Promise<Forwarder> {
  await checkAgentSocket(options.agentSocket);
  const counters = context.counters ?? new Counters();
  const serving = await openServing(options, {
    log: context.log,
    onReload: ok => counters.reloaded(ok),
  });
  const running = new RunningForwarder(options, counters, serving);
  try {
    await running.listen();
  } catch (error) {
    await running.close(AbortSignal.abort());
    throw error;
  }
  return running;
}

class RunningForwarder implements Forwarder {
  readonly #options: ForwarderOptions;
  readonly log: Logger;
  readonly #counters: Counters;
  readonly #socket: AgentSocket;
  readonly #agent: SharedUpstream;
  readonly #relays = new Set<Relay>();
  readonly #serving: LiveServing;
  /** Null where no link is to be resumed. */
  readonly #sessions: SessionTable | null;
  /** The same for all links. */
  readonly #rewrites: readonly Rewrite[];
  #listener: LinkListener | null = null;

  constructor(options: ForwarderOptions, counters: Counters, serving: LiveServing) {
    const { log } = serving;
    const { agentSocket } = options;
    this.#options = options;
    this.log = log;
    this.#counters = counters;
    counters.watch({
      links: () => this.links(),
      sessions: () => this.sessions(),
      expiresAt: () => this.expiresAt(),
      trustTrouble: () => this.trustTrouble(),
      agentConnected: () => this.#agent.connected,
    });
    const socket = new AgentSocket({ agentSocket, log });
    this.#socket = socket;
    this.#agent = new SharedUpstream({
      open: signal => socket.open(signal),
      name: `the kata-agent on ${agentSocket}`,
      observer: counters.observer,
      log,
    });
    this.#serving = serving;
    this.#sessions = options.linkGraceMs === 0 ? null : this.#sessionTable(options.linkGraceMs);
    const { podNamespace, guestRoot } = options;
    this.#rewrites = forwarderRewrites({ podNamespace, guestRoot, log });
  }

  get address(): ListenAddress {
    if (this.#listener === null) throw new Error('internal error: the forwarder does not listen yet');
    const { host, port } = this.#listener.address();
    return { host, port };
  }

  async listen(): Promise<void> {
    const { clients } = this.#options;
    this.#listener = await listenLink({
      ...this.#options.listen,
      security: this.#serving.security,
      maxPeers: this.#options.maxLinks,
      admit: leaf => (clients === null ? null : unnamedClient(leaf, clients)),
      session: this.#sessions !== null,
      onPeer: peer => this.#accept(peer),
      onRefused: refusal => this.#counters.linkRefused(refusal.rule),
      log: this.log,
    });
  }

  links(): number {
    return this.#relays.size - this.sessions().away;
  }

  sessions(): SessionCounts {
    return this.#sessions?.counts() ?? { linked: 0, away: 0 };
  }

  expiresAt(): Date | null {
    return this.#serving.expiresAt();
  }

  async agentTrouble(): Promise<string | null> {
    return this.#agent.connected ? null : this.#socket.trouble;
  }

  trustTrouble(): string | null {
    return this.#serving.trouble();
  }

  reload(): Promise<void> {
    return this.#serving.reload();
  }

  async close(signal: AbortSignal): Promise<void> {
    await this.#listener?.close();
    await this.#serving.close();
    await Promise.all([...this.#relays].map(relay => relay.drain(signal)));
    this.#sessions?.close();
    await this.#agent.close();
  }

  async #connected(connected: Promise<void>, signal: AbortSignal): Promise<void> {
    const { agentTimeoutMs } = this.#options;
    using end = deadline(agentTimeoutMs, signal);
    try {
      await abortable(connected, end);
    } catch {
      throw signal.aborted ? abortReason(signal) : this.#socket.absent(agentTimeoutMs);
    }
  }

  #sessionTable(graceMs: number): SessionTable {
    const counters = this.#counters;
    return new SessionTable({
      graceMs,
      onSession: (session, peer) => this.#serve(session, peer, () => null),
      onAway: cause => counters.linkLost(cause),
      onResumed: () => counters.sessionResumed(),
      onRefused: reason => counters.sessionRefused(reason),
      onLost: () => counters.sessionLost(),
      log: this.log,
    });
  }

  #accept(peer: VerifiedPeer): void {
    if (this.#sessions !== null && peer.peer.tls?.session === true) this.#sessions.accept(peer);
    else this.#serve(peer, peer.peer, peer.failure);
  }

  #serve(downstream: VerifiedPeer | LentReads, peer: PeerInfo, failure: () => Error | null): void {
    const started = performance.now();
    const log = this.log.child({ remote: peer.remote });
    log.info({ tls: peer.tls, expiresAt: peer.expiresAt }, 'link opened');
    this.#counters.linkOpened();
    const relay = this.#agent.relay({
      downstream,
      client: peer.tls?.fingerprint ?? 'plain',
      within: (connected, signal) => this.#connected(connected, signal),
      rewrites: this.#rewrites,
      observer: this.#counters.observer,
      log,
    });
    this.#relays.add(relay);
    void relay.closed.then(reason => {
      this.#relays.delete(relay);
      const cause = lossOf(failure(), reason);
      if (cause !== null) this.#counters.linkLost(cause);
      const fields = {
        why: reason.why,
        ms: Math.round(performance.now() - started),
        cause: cause ?? undefined,
        reason: reason.error?.message ?? failure()?.message,
      };
      if (reason.why === 'upstream-lost') log.warn(fields, 'link closed');
      else log.info(fields, 'link closed');
    });
  }
}

/** By what a link broke; null when it ended as links do, or because of something behind it. */
function lossOf(failure: Error | null, { why }: CloseReason): LossCause | null {
  if (why === 'downstream-protocol') return 'protocol';
  return why === 'downstream-closed' && failure !== null ? lossCause(failure) : null;
}
