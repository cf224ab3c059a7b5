// SPDX-License-Identifier: Apache-2.0
// The forwarder as one object: it listens for adaptors, gives each judged link its own relay to the agent, swaps its
// material on a reload and drains when closed. Flags, signals and the status endpoint are main.ts's.
import { describeMaterial } from '@peerpod-tls/certs';
import { listenLink, lossCause, startRelay } from '@peerpod-tls/link';
import type {
  CloseReason,
  VerifiedPeer,
  ListenSecurity,
  LinkListener,
  LossCause,
  Relay,
} from '@peerpod-tls/link';
import type { Logger } from 'pino';

import { checkAgentSocket } from './abstract-socket.js';
import { agentBackend } from './agent-backend.js';
import type { AgentBackend } from './agent-backend.js';
import { readConfigurationFile } from './configuration-file.js';
import { Counters } from './counters.js';
import { forwarderRewrites } from './rewrites.js';
import type { ForwarderOptions, ListenAddress } from './options.js';
import { decideServing } from '@peerpod-tls/trust';
import type { Serving } from '@peerpod-tls/trust';

export interface Forwarder {
  /** The address actually bound. */
  readonly address: ListenAddress;
  /** Links open now. */
  links(): number;
  /** What calls would meet at the agent's socket: null when a connection succeeds, else why it does not. */
  agentTrouble(): Promise<string | null>;
  /** When the material in force ends; null when plain text is served. */
  expiresAt(): Date | null;
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
 * Reads and checks everything, then listens. The agent need not be there yet: each link waits for it.
 * @throws ForwarderError, CertError, UserDataError or LinkError, before or instead of listening
 */
export async function startForwarder(
  options: ForwarderOptions,
  context: ForwarderContext,
): Promise<Forwarder> {
  await checkAgentSocket(options.agentSocket);
  const running = new RunningForwarder(options, context, load(options, context.log));
  await running.listen();
  return running;
}

class RunningForwarder implements Forwarder {
  readonly #options: ForwarderOptions;
  readonly #log: Logger;
  readonly #counters: Counters;
  readonly #agent: AgentBackend;
  readonly #relays = new Set<Relay>();
  #serving: Serving;
  #listener: LinkListener | null = null;

  constructor(options: ForwarderOptions, context: ForwarderContext, serving: Serving) {
    const { agentSocket, agentTimeoutMs } = options;
    this.#options = options;
    this.#log = context.log;
    this.#counters = context.counters ?? new Counters();
    this.#counters.watch({ links: () => this.links(), expiresAt: () => this.expiresAt() });
    this.#agent = agentBackend({ agentSocket, timeoutMs: agentTimeoutMs, log: context.log });
    this.#serving = serving;
  }

  get address(): ListenAddress {
    if (this.#listener === null) throw new Error('internal error: the forwarder does not listen yet');
    const { host, port } = this.#listener.address();
    return { host, port };
  }

  async listen(): Promise<void> {
    this.#listener = await listenLink({
      ...this.#options.listen,
      security: this.#security(),
      maxPeers: this.#options.maxLinks,
      onPeer: peer => this.#serve(peer),
      onRefused: refusal => this.#counters.linkRefused(refusal.rule),
      log: this.#log,
    });
  }

  links(): number {
    return this.#relays.size;
  }

  expiresAt(): Date | null {
    return this.#serving.t === 'plain' ? null : this.#serving.material.expiresAt;
  }

  agentTrouble(): Promise<string | null> {
    return this.#agent.trouble();
  }

  async reload(): Promise<void> {
    this.#serving = load(this.#options, this.#log);
  }

  async close(signal: AbortSignal): Promise<void> {
    await this.#listener?.close();
    await Promise.all([...this.#relays].map(relay => relay.drain(signal)));
  }

  /** Asked for each connection, so that a reload is one assignment. */
  #security(): ListenSecurity {
    const { t } = this.#serving;
    if (t === 'plain') return { t };
    const live = (): Exclude<Serving, { t: 'plain' }> => {
      if (this.#serving.t === 'plain') throw new Error('internal error: TLS turned off while serving');
      return this.#serving;
    };
    return {
      t,
      material: () => live().material,
      get profile() {
        return live().profile;
      },
    };
  }

  #serve(peer: VerifiedPeer): void {
    const started = performance.now();
    const { agentSocket, podNamespace, guestRoot } = this.#options;
    const log = this.#log.child({ remote: peer.peer.remote });
    log.info({ tls: peer.peer.tls, expiresAt: peer.peer.expiresAt }, 'link opened');
    this.#counters.linkOpened();
    const relay = startRelay({
      downstream: peer,
      openUpstream: signal => this.#agent.open(signal),
      rewrites: forwarderRewrites({ podNamespace, guestRoot, log }),
      // The adaptor dials anew and knows which calls may run twice; here a lost agent ends the link.
      redial: null,
      upstreamName: `the kata-agent on ${agentSocket}`,
      observer: this.#counters.observer,
      log,
    });
    this.#relays.add(relay);
    void relay.closed.then(reason => {
      this.#relays.delete(relay);
      const cause = lossOf(peer, reason);
      if (cause !== null) this.#counters.linkLost(cause);
      const fields = {
        why: reason.why,
        ms: Math.round(performance.now() - started),
        cause: cause ?? undefined,
        reason: reason.error?.message ?? peer.failure()?.message,
      };
      if (reason.why === 'upstream-lost') log.warn(fields, 'link closed');
      else log.info(fields, 'link closed');
    });
  }
}

/** By what a link broke; null when it ended as links do, or because of something behind it. */
function lossOf(peer: VerifiedPeer, { why }: CloseReason): LossCause | null {
  if (why === 'downstream-protocol') return 'protocol';
  const failure = peer.failure();
  return why === 'downstream-closed' && failure !== null ? lossCause(failure) : null;
}

/** Reads, checks and says what an operator should know. */
function load(options: ForwarderOptions, log: Logger): Serving {
  const file = readConfigurationFile(options.configFile);
  const { serving, notes } = decideServing(options, file);
  const { path, unknownKeys, exposedMode, config } = file;
  if (unknownKeys.length > 0)
    log.warn({ file: path, keys: unknownKeys }, 'unknown configuration keys ignored');
  if (exposedMode !== null && !options.disableTls)
    log.warn({ file: path, mode: exposedMode }, 'private key readable by others');
  for (const note of notes) log.warn(note.fields, note.text);
  if (hasTunnel(config.podNetwork)) log.warn({ file: path }, 'pod network of the configuration not set up');
  log.info(
    {
      mode: serving.t,
      ...(serving.t === 'plain'
        ? {}
        : { material: describeMaterial(serving.material), profile: serving.profile }),
    },
    'configuration loaded',
  );
  return serving;
}

/** Whether the adaptor expects a tunnel for the pod's own traffic, which this forwarder does not make. */
function hasTunnel(podNetwork: unknown): boolean {
  return (
    typeof podNetwork === 'object' &&
    podNetwork !== null &&
    'tunnel-type' in podNetwork &&
    typeof podNetwork['tunnel-type'] === 'string' &&
    podNetwork['tunnel-type'] !== ''
  );
}
