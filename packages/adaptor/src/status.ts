// SPDX-License-Identifier: Apache-2.0
// What the status server says: when the adaptor has started, when it is ready, and which sandboxes there are.
//
//   /startup   200 once the sandboxes of an earlier run are open again and the hypervisor socket listens. It does not
//              look at pods, so a restart of the adaptor never waits for pods to be restarted. Also 200 while this one
//              waits for another adaptor to end: a rolling update ends that one only once this one has started.
//   /readyz    200 while the hypervisor socket takes calls, no certificate of ours has expired, and the provider says that
//              it could make an instance.
//   /sandboxes the table, for people and tools; no secret is in it.
//   /orphans   instances that belong to no sandbox, as last looked at.
import type { CheckResult } from '@peerpod-tls/daemon';
import type { Identity, LeafFacts } from '@peerpod-tls/trust';
import type { OrphanReport } from './sandboxes/orphans.js';
import { agentSocketPath } from './sandboxes/sandbox-id.js';
import type { SandboxTable } from './sandboxes/sandbox-table.js';
import type { ShimView } from './sandboxes/shim-watch.js';
import { instanceOf, troubleOf, type Sandbox } from './sandboxes/sandbox.js';

export type Phase = 'starting' | 'standby' | 'serving' | 'stopping';

export function startupCheck(phase: Phase): CheckResult {
  switch (phase) {
    case 'starting':
      return { ok: false, reason: 'starting: the hypervisor socket is not open yet' };
    case 'standby':
      return { ok: true, reason: 'standby: waiting for the adaptor that uses the state directory to end' };
    case 'serving':
    case 'stopping':
      return { ok: true, reason: 'started' };
  }
}

export function readyCheck(
  phase: Phase,
  identity: Identity | null,
  provider: CheckResult,
  now: Date = new Date(),
): CheckResult {
  if (phase !== 'serving' || identity === null) return { ok: false, reason: phase };
  const expired = identity
    .expiries()
    .filter(({ kind }) => kind !== 'bundle')
    .find(({ notAfter }) => notAfter <= now);
  if (expired !== undefined) {
    return {
      ok: false,
      reason: `the ${expired.kind} certificate ${expired.subject} expired at ${expired.notAfter.toISOString()}`,
    };
  }
  const trouble = identity.trouble();
  if (trouble !== null) {
    return {
      ok: false,
      reason: `the certificates in force stay, since those of ${trouble.at.toISOString()} were refused: ${trouble.reason}`,
    };
  }
  return provider.ok ? { ok: true, reason: 'ready' } : provider;
}

/** One sandbox as `GET /sandboxes` shows it. */
export interface SandboxView {
  readonly id: string;
  readonly pod: string;
  readonly namespace: string;
  readonly state: string;
  /** Id of the instance; empty while there is none. */
  readonly instance: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly socket: string;
  /** Since when it is in this state, ISO 8601. */
  readonly since: string;
  readonly tls: string;
  readonly serverName: string;
  readonly leaf: LeafFacts | null;
  /** How the shim's socket is used; null while it is not open. */
  readonly shim: ShimView | null;
  /** What is wrong; empty when nothing is. */
  readonly error: string;
}

export function sandboxViews(
  table: SandboxTable,
  podsDir: string,
  shimOf: (sandbox: Sandbox) => ShimView | null,
  goneBy: (sandbox: Sandbox) => string,
): { readonly sandboxes: readonly SandboxView[] } {
  const sandboxes = [...table.values()].map((sandbox): SandboxView => {
    const instance = instanceOf(sandbox);
    const shim = shimOf(sandbox);
    return {
      id: sandbox.id,
      pod: sandbox.spec.pod,
      namespace: sandbox.spec.namespace,
      state: sandbox.state.t,
      instance: instance?.id ?? '',
      name: instance?.name ?? sandbox.instanceName,
      addresses: instance?.addresses ?? [],
      socket: agentSocketPath(podsDir, sandbox.id),
      since: sandbox.state.since,
      tls: sandbox.link.tls,
      serverName: sandbox.link.serverName,
      leaf: sandbox.leaf,
      shim,
      error: shim?.state === 'gone' ? `its shim is gone: ${goneBy(sandbox)}` : troubleOf(sandbox),
    };
  });
  return { sandboxes };
}

/** `GET /orphans`; null before the sandboxes of an earlier run are known, when nobody can tell what is an orphan. */
export function orphansView(report: OrphanReport | null, provider: string): OrphanReport {
  return report ?? { provider, checkedAt: null, error: '', orphans: [] };
}
