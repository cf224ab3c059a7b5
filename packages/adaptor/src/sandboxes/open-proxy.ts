// SPDX-License-Identifier: Apache-2.0
// Opens the proxy of a sandbox whose VM is known: what a fresh start and a restart of the adaptor have in common.
import type { SandboxDeps } from './deps.js';
import type { Instance } from '@peerpod-tls/providers';
import { SandboxProxy } from '@peerpod-tls/proxy';
import { agentSocketPath } from './sandbox-id.js';
import type { LinkFacts, Sandbox } from './sandbox.js';

/** What links to a VM that is made now need. */
export function linkFacts({ identity, settings }: SandboxDeps, name: string): LinkFacts {
  return { tls: identity.mode, serverName: identity.serverName(name), port: settings.forwarderPort };
}

export function openProxy(deps: SandboxDeps, sandbox: Sandbox, instance: Instance): Promise<SandboxProxy> {
  const { settings, identity, rewrites, metrics } = deps;
  const log = deps.log.child({ sandbox: sandbox.id });
  return SandboxProxy.open({
    sandbox: sandbox.id,
    socket: agentSocketPath(settings.podsDir, sandbox.id),
    host: instance.addresses[0] ?? '',
    port: sandbox.link.port,
    serverName: sandbox.link.serverName,
    security: sandbox.link.tls === identity.mode ? identity.security : null,
    rewrites,
    observer: metrics.observer,
    onRefused: rule => metrics.refused(rule),
    ...(settings.redialBudgetMs === undefined ? {} : { redialBudgetMs: settings.redialBudgetMs }),
    log,
  });
}
