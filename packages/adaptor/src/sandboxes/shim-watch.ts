// SPDX-License-Identifier: Apache-2.0
// Whether a running sandbox still has its shim. Looks and tells; what is done about it is in dead-sandboxes.ts.
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { codeOf } from '@peerpod-tls/base';
import type { ProxyView } from '@peerpod-tls/proxy/control';
import type { Logger } from 'pino';
import type { DataPath } from '../data-path/data-path.js';
import type { Sandbox } from './sandbox.js';
import type { SandboxTable } from './sandbox-table.js';

/** Where kata's shims (in Go, in Rust) keep a directory per sandbox, with a socket in it that they answer on. */
const KATA_DIRS = ['/run/vc/sbs', '/run/kata'] as const;
const MONITOR_SOCKET = 'shim-monitor.sock';

const LOOK_MS = 30_000;
const CONNECT_MS = 1000;

/** How a running sandbox is connected to its shim. */
export interface ShimView extends Omit<ProxyView, 'sandbox'> {
  /** `unknown`: none is connected, and nothing says that there is none. */
  readonly state: 'connected' | 'unknown' | 'gone';
}

/** A running sandbox whose shim is gone, and how that is known. */
export interface DeadSandbox {
  readonly sandbox: Sandbox;
  readonly reason: string;
}

export interface ShimWatchOptions {
  readonly table: SandboxTable;
  readonly dataPath: DataPath;
  readonly log: Logger;
  /** How long a shim may take to connect, or to come back, before it is missed. */
  readonly graceMs: number;
  /** Whether somebody other than a shim answers for a sandbox. */
  readonly held: (id: string) => boolean;
  /** Told of all that are dead, after each look. */
  readonly onDead: (dead: readonly DeadSandbox[]) => void;
  readonly kataDirs?: readonly string[];
  readonly lookMs?: number;
}

export class ShimWatch {
  readonly #o: ShimWatchOptions;
  /** Why, of each sandbox whose shim was found gone. */
  #gone: ReadonlyMap<string, string> = new Map();
  /** Since when nobody has answered for a sandbox, in milliseconds. */
  #silentSince: ReadonlyMap<string, number> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(o: ShimWatchOptions) {
    this.#o = o;
  }

  start(): void {
    const look = (): void => {
      this.#looking = this.#looking
        .then(() => this.#look())
        .catch(err => this.#o.log.debug({ err }, 'shims not looked for'));
    };
    this.#timer = setInterval(look, this.#o.lookMs ?? Math.min(LOOK_MS, this.#o.graceMs / 2)).unref();
  }

  /** Running sandboxes whose shim is gone. */
  get gone(): number {
    return [...this.#gone.keys()].filter(id => this.#o.table.get(id)?.state.t === 'running').length;
  }

  /** How it is known that a sandbox's shim is gone; empty while it is not. */
  reasonOf(id: string): string {
    return this.#gone.get(id) ?? '';
  }

  /** Null for a sandbox whose socket is not open. */
  viewOf(view: ProxyView | undefined): ShimView | null {
    if (view === undefined) return null;
    const { sandbox, ...use } = view;
    const state = use.connections > 0 ? 'connected' : this.#gone.has(sandbox) ? 'gone' : 'unknown';
    return { state, ...use };
  }

  /** On a node without kata nothing can be told: whoever drives such a sandbox may come back at any time. */
  async #look(): Promise<void> {
    const { table, dataPath, kataDirs = KATA_DIRS, graceMs, held, onDead } = this.#o;
    const directories = kataDirs.filter(directory => existsSync(directory));
    const silent = new Map<string, number>();
    const dead: DeadSandbox[] = [];
    for (const view of directories.length === 0 ? [] : await dataPath.views()) {
      const sandbox = table.get(view.sandbox);
      if (sandbox?.state.t !== 'running' || view.connections > 0 || held(sandbox.id)) continue;
      const silence = await silenceOn(directories.map(kata => path.join(kata, sandbox.id, MONITOR_SOCKET)));
      if (silence === null) continue;
      const since = this.#silentSince.get(sandbox.id) ?? Date.now();
      silent.set(sandbox.id, since);
      const alone = view.lastClosedAt ?? view.openedAt;
      if (Date.now() - Math.max(since, Date.parse(alone)) < graceMs) continue;
      const when = view.lastClosedAt === null ? `since the socket was opened at ${alone}` : `since ${alone}`;
      dead.push({ sandbox, reason: `no shim has been connected ${when}, and ${silence}` });
    }
    this.#silentSince = silent;
    this.#gone = new Map(dead.map(({ sandbox, reason }) => [sandbox.id, reason]));
    onDead(dead);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }
}

/** How each of the sockets is silent, in words; null when somebody answers on one. */
async function silenceOn(sockets: readonly string[]): Promise<string | null> {
  const silences = await Promise.all(sockets.map(silenceOf));
  return silences.includes(null) ? null : silences.join(', ');
}

/** A socket that a killed process left refuses; whatever else stands in the way is no sign that nobody is there. */
function silenceOf(socket: string): Promise<string | null> {
  return new Promise(resolve => {
    const client = connect(socket);
    const finish = (silence: string | null): void => {
      client.destroy();
      resolve(silence);
    };
    client.setTimeout(CONNECT_MS, () => finish(null));
    client.once('connect', () => finish(null));
    client.once('error', error => {
      const code = codeOf(error);
      if (code === 'ECONNREFUSED') finish(`nobody answers on ${socket}`);
      else finish(code === 'ENOENT' || code === 'ENOTDIR' ? `there is no ${socket}` : null);
    });
  });
}
