// SPDX-License-Identifier: Apache-2.0
// After a restart: finds out whether the VMs that should be running still answer. Nobody waits for it, and nothing is
// done about one that does not: its shim finds out by itself, and StopVM is the shim's to call.
import { reasonOf } from '@peerpod-tls/base';
import { dialUntilHealthy } from '@peerpod-tls/link';
import type { SandboxDeps } from './deps.js';
import type { Instance } from '@peerpod-tls/providers';
import { refusalRule } from '@peerpod-tls/proxy';
import type { Sandbox } from './sandbox.js';

/** Dials until the agent answers or `-proxy-timeout` is over, and logs which; never rejects. */
export async function checkResumed(
  deps: SandboxDeps,
  sandbox: Sandbox,
  instance: Instance,
  signal: AbortSignal,
): Promise<void> {
  const { settings, identity, metrics } = deps;
  if (sandbox.link.tls !== identity.mode) return;
  const log = deps.log.child({ sandbox: sandbox.id });
  try {
    const { attempts, ms } = await dialUntilHealthy({
      host: instance.addresses[0] ?? '',
      port: sandbox.link.port,
      security: identity.security,
      serverName: sandbox.link.serverName,
      signal,
      deadlineMs: settings.proxyTimeoutMs,
      log,
    });
    log.info({ attempts, ms: Math.round(ms) }, 'resumed sandbox answered');
  } catch (error) {
    if (signal.aborted) return;
    const rule = refusalRule(error);
    if (rule !== null) metrics.refused(rule);
    log.warn(
      { err: error, instance: instance.id, reason: reasonOf(error) },
      'resumed sandbox does not answer',
    );
  }
}
