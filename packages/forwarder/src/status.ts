// SPDX-License-Identifier: Apache-2.0
// The status endpoint of the forwarder, loaded only when one was asked for.
import { startStatusServer } from '@peerpod-tls/daemon';
import type { CheckResult, Service } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';

import type { Counters } from './counters.js';
import type { Forwarder } from './forwarder.js';

/** Serves /startup, /healthz, /readyz and /metrics on `address` (`host:port`). */
export function statusService(
  address: string,
  forwarder: () => Forwarder | null,
  counters: Counters,
  log: Logger,
): Service {
  let close: (() => Promise<void>) | null = null;
  return {
    name: 'status',
    async start() {
      const server = await startStatusServer({
        address,
        startup: () =>
          forwarder() === null
            ? { ok: false, reason: 'not listening yet' }
            : { ok: true, reason: 'listening' },
        ready: () => ready(forwarder()),
        metrics: counters,
        log,
      });
      log.info({ address: server.address }, 'status listened');
      close = () => server.close();
    },
    async close() {
      await close?.();
    },
  };
}

/** Ready: a call that came now would find a listener, the certificates of the files, valid, and the agent. */
async function ready(forwarder: Forwarder | null): Promise<CheckResult> {
  if (forwarder === null) return { ok: false, reason: 'not listening yet' };
  const expiresAt = forwarder.expiresAt();
  if (expiresAt !== null && expiresAt.getTime() <= Date.now()) {
    return { ok: false, reason: `the certificate expired at ${expiresAt.toISOString()}` };
  }
  const trust = forwarder.trustTrouble();
  if (trust !== null) return { ok: false, reason: trust };
  const trouble = await forwarder.agentTrouble();
  return trouble === null ? { ok: true, reason: 'listening, agent there' } : { ok: false, reason: trouble };
}
