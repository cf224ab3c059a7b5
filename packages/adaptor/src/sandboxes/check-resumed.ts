// SPDX-License-Identifier: Apache-2.0
// After a restart: finds out whether the VMs that should be running still answer. Nobody waits for it, and nothing is
// done about one that does not: its shim finds out by itself, and StopVM is the shim's to call.
import { reasonOf } from '@peerpod-tls/base';
import type { Instance } from '@peerpod-tls/providers';
import type { SandboxDeps } from './deps.js';
import { proxySpec } from './proxy-spec.js';
import { logOf } from './log-of.js';
import type { Sandbox } from './sandbox.js';

/** Dials until the agent answers or `-proxy-timeout` is over, and logs which; never rejects. */
export async function checkResumed(
  deps: SandboxDeps,
  sandbox: Sandbox,
  instance: Instance,
  signal: AbortSignal,
): Promise<void> {
  const { settings, identity, dataPath } = deps;
  if (sandbox.link.tls !== identity.mode) return;
  const log = logOf(deps, sandbox);
  try {
    const { attempts, ms } = await dataPath.awaitAgent(proxySpec(deps, sandbox, instance), {
      deadlineMs: settings.proxyTimeoutMs,
      signal,
    });
    log.info({ attempts, ms }, 'resumed sandbox answered');
  } catch (error) {
    if (signal.aborted) return;
    log.warn(
      { err: error, instance: instance.id, reason: reasonOf(error) },
      'resumed sandbox does not answer',
    );
  }
}
