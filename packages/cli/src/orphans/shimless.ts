// SPDX-License-Identifier: Apache-2.0
// Sandboxes that run and that no shim uses any more. A shim keeps its connection for the whole life of its pod and calls
// StopVM once, so nobody else will ever end such a sandbox. Finds them; stops none.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SandboxRow } from '../status/endpoint.js';

export interface Shimless {
  readonly id: string;
  readonly pod: string;
  readonly namespace: string;
  /** Since when no shim has been connected. */
  readonly since: Date;
}

export interface ShimlessRule {
  readonly now: Date;
  /** A shim that starts, or connects again, may take so long. */
  readonly graceMs: number;
  /** Whether there is a living shim of this sandbox although none is connected. */
  readonly hasShim: (id: string) => boolean;
}

/** Running sandboxes without a connection for longer than the grace time, and without a shim on this node. */
export function shimless(rows: readonly SandboxRow[], rule: ShimlessRule): Shimless[] {
  return rows.flatMap(({ id, pod, namespace, state, shim }) => {
    const since = shim?.lastClosedAt ?? shim?.openedAt ?? null;
    if (state !== 'running' || shim === null || shim.connections > 0 || since === null) return [];
    if (rule.now.getTime() - since.getTime() < rule.graceMs || rule.hasShim(id)) return [];
    return [{ id, pod, namespace, since }];
  });
}

/** On a kata node each living shim has a socket for its monitor; elsewhere there is no such directory and no shim. */
export const shimOnNode =
  (dir: string) =>
  (id: string): boolean =>
    id !== '' && !id.includes('/') && existsSync(join(dir, id, 'shim-monitor.sock'));
