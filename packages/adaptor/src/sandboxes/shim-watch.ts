// SPDX-License-Identifier: Apache-2.0
// Whether a running sandbox still has its shim. Looks and tells; stopping what nobody needs any more is for a person.
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { codeOf } from '@peerpod-tls/base';
import type { DataPlane, ProxyView } from '@peerpod-tls/proxy';
import type { Logger } from 'pino';
import { logOf } from './log-of.js';
import type { SandboxTable } from './sandbox-table.js';

/** Where kata's shims (in Go, in Rust) keep a directory per sandbox, with a socket in it that they answer on. */
const KATA_DIRS = ['/run/vc/sbs', '/run/kata'] as const;
const MONITOR_SOCKET = 'shim-monitor.sock';

/** How long a shim may take to connect, or to come back, before it is missed; and how often it is looked for. */
const GRACE_MS = 60_000;
const LOOK_MS = 30_000;
const CONNECT_MS = 1000;

/** How a running sandbox is connected to its shim. */
export interface ShimView extends Omit<ProxyView, 'sandbox'> {
  /** `unknown`: none is connected, and nothing says that there is none. */
  readonly state: 'connected' | 'unknown' | 'gone';
}

export interface ShimWatchOptions {
  readonly table: SandboxTable;
  readonly dataPlane: DataPlane;
  readonly log: Logger;
  readonly kataDirs?: readonly string[];
  readonly graceMs?: number;
  readonly lookMs?: number;
}

export class ShimWatch {
  readonly #o: ShimWatchOptions;
  /** Ids of sandboxes whose shim was found gone. */
  #gone: ReadonlySet<string> = new Set();
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
    this.#timer = setInterval(look, this.#o.lookMs ?? LOOK_MS).unref();
  }

  /** Running sandboxes whose shim is gone. */
  get gone(): number {
    return [...this.#gone].filter(id => this.#o.table.get(id)?.state.t === 'running').length;
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
    const { table, dataPlane, kataDirs = KATA_DIRS, graceMs = GRACE_MS } = this.#o;
    const directories = kataDirs.filter(directory => existsSync(directory));
    const gone = new Set<string>();
    for (const view of directories.length === 0 ? [] : await dataPlane.views()) {
      const sandbox = table.get(view.sandbox);
      const quiet = Date.now() - Date.parse(view.lastClosedAt ?? view.openedAt);
      if (sandbox?.state.t !== 'running' || view.connections > 0 || quiet < graceMs) continue;
      if (await anyAnswers(directories.map(directory => path.join(directory, sandbox.id, MONITOR_SOCKET))))
        continue;
      gone.add(sandbox.id);
      if (!this.#gone.has(sandbox.id))
        logOf(this.#o, sandbox).warn(
          { lastClosedAt: view.lastClosedAt, openedAt: view.openedAt },
          'shim of a running sandbox is gone, its VM lives on until it is stopped',
        );
    }
    this.#gone = gone;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }
}

async function anyAnswers(sockets: readonly string[]): Promise<boolean> {
  const answers = await Promise.all(sockets.map(answersOn));
  return answers.includes(true);
}

/** A socket that a killed process left refuses; whatever else stands in the way is no sign that nobody is there. */
function answersOn(socket: string): Promise<boolean> {
  return new Promise(resolve => {
    const client = connect(socket);
    const finish = (answer: boolean): void => {
      client.destroy();
      resolve(answer);
    };
    client.setTimeout(CONNECT_MS, () => finish(true));
    client.once('connect', () => finish(true));
    client.once('error', error => finish(!['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes(codeOf(error))));
  });
}
