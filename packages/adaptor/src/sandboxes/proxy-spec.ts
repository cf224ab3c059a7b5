// SPDX-License-Identifier: Apache-2.0
// What the data plane is told of a sandbox whose VM is known: the same for a fresh start and after a restart.
import { DIRECT_VOLUMES, REDIAL_BUDGET_MS, type ProxySpec } from '@peerpod-tls/proxy/control';
import type { Instance } from '@peerpod-tls/providers';
import type { SandboxDeps } from './deps.js';
import { agentSocketPath } from './sandbox-id.js';
import { podOf, type LinkFacts, type Sandbox } from './sandbox.js';

/** What links to a VM that is made now need. */
export function linkFacts({ identity, settings }: SandboxDeps, name: string): LinkFacts {
  return { tls: identity.mode, serverName: identity.serverName(name), port: settings.forwarderPort };
}

export function proxySpec({ settings }: SandboxDeps, sandbox: Sandbox, instance: Instance): ProxySpec {
  return {
    sandbox: sandbox.id,
    pod: podOf(sandbox),
    socket: agentSocketPath(settings.podsDir, sandbox.id),
    addresses: instance.addresses,
    port: sandbox.link.port,
    tls: { material: sandbox.link.tls, serverName: sandbox.link.serverName },
    rewrites: { directVolumes: DIRECT_VOLUMES },
    limits: { redialBudgetMs: settings.redialBudgetMs ?? REDIAL_BUDGET_MS },
  };
}
