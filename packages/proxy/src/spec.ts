// SPDX-License-Identifier: Apache-2.0
// What a data plane is told and what it tells. Plain data throughout: every value here survives JSON, so that who drives
// a data plane and the data plane itself can be two processes.
import type { LossCause } from '@peerpod-tls/link';

/** Everything a data plane needs to know of one sandbox. */
export interface ProxySpec {
  readonly sandbox: string;
  /** `namespace/name`, for the log. */
  readonly pod: string;
  /** Path of the Unix socket the shim connects to. */
  readonly socket: string;
  /** Of the VM; the first is dialled. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly tls: {
    /** Names the material to dial with; a data plane that does not hold it dials nobody. */
    readonly material: string;
    /** The name the VM's certificate must carry; empty with TLS off. */
    readonly serverName: string;
  };
  readonly rewrites: {
    /** Directory in which the CSI driver leaves one directory per volume that a VM mounts by itself. */
    readonly directVolumes: string;
  };
  readonly limits: {
    /** How long a lost link may take to be replaced, in milliseconds. */
    readonly redialBudgetMs: number;
  };
}

/** A shim's health check waits 30 s; a link that is replaced within this is one no pod notices. */
export const REDIAL_BUDGET_MS = 20_000;

/** Where kata's CSI driver keeps its directories. */
export const DIRECT_VOLUMES = '/run/kata-containers/shared/direct-volumes';

/** What the agent's first answer looked like. */
export interface AgentAnswer {
  readonly attempts: number;
  /** All of it, waiting included, in milliseconds. */
  readonly ms: number;
  /** The try that succeeded: connect, handshake, health check. */
  readonly lastTryMs: number;
  readonly remote: string;
  /** `plain`, or the version of TLS. */
  readonly protocol: string;
  readonly cipher: string;
  readonly subject: string;
  readonly names: readonly string[];
  readonly fingerprint: string;
  /** 0 without TLS. */
  readonly handshakeMs: number;
}

/** How a sandbox's socket is used. */
export interface ProxyView {
  readonly sandbox: string;
  /** The data path thread it is on, from 1; 0 is the thread that drives the data plane. */
  readonly thread: number;
  /** Connections of shims at this moment. */
  readonly connections: number;
  /** Since when the socket has been open, ISO 8601. */
  readonly openedAt: string;
  /** When the last connection closed, ISO 8601; null when none has. */
  readonly lastClosedAt: string | null;
}

/** One thread that carries data. */
export interface ThreadView {
  /** From 1; 0 is the thread that drives the data plane. */
  readonly thread: number;
  readonly sandboxes: number;
  /** Connections of shims at this moment. */
  readonly connections: number;
  /** How long its event loop has been at work since the thread began, in seconds. */
  readonly busySeconds: number;
}

/** What happens in a data plane, as it happens. */
export type ProxyEvent =
  | { readonly t: 'handshake'; readonly ms: number }
  | { readonly t: 'refused'; readonly rule: string }
  | { readonly t: 'lost'; readonly cause: LossCause }
  | {
      readonly t: 'redialled';
      readonly ms: number;
      readonly replayed: number;
      readonly unavailable: number;
    }
  /** A link that was lost goes on over a new one, and so do its calls. */
  | { readonly t: 'resumed'; readonly cause: LossCause; readonly ms: number }
  | { readonly t: 'not-redialled'; readonly cause: LossCause }
  | { readonly t: 'protocol-error' }
  /** A shim connected to a sandbox's socket. */
  | { readonly t: 'connected' }
  /** A connection of a shim ended. */
  | { readonly t: 'disconnected' }
  /** A thread ended by itself; the connections of so many sandboxes went with it. */
  | { readonly t: 'thread-lost'; readonly thread: number; readonly sandboxes: number };

/** Hears of what happens; of which sandbox, or of none where it is empty. */
export type EventListener = (event: ProxyEvent, sandbox: string) => void;
