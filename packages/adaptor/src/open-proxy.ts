// SPDX-License-Identifier: Apache-2.0
// Opens the proxy of a sandbox whose VM is known: what a fresh start and a restart of the adaptor have in common.
import type { SandboxDeps } from './deps.js';
import type { Instance } from './providers/provider.js';
import { SandboxProxy } from './proxy.js';
import { agentSocketPath } from './sandbox-id.js';
import type { Sandbox } from './sandbox.js';

export function openProxy(deps: SandboxDeps, sandbox: Sandbox, instance: Instance): Promise<SandboxProxy> {
  const { settings, identity, edits, metrics } = deps;
  const log = deps.log.child({ sandbox: sandbox.id });
  return SandboxProxy.open({
    sandbox: sandbox.id,
    socket: agentSocketPath(settings.podsDir, sandbox.id),
    host: instance.addresses[0] ?? '',
    port: settings.forwarderPort,
    serverName: sandbox.serverName,
    security: identity.security,
    edits,
    observer: metrics.observer,
    onRefused: rule => metrics.refused(rule),
    onRedialFailed: () => metrics.redialFailed(),
    ...(settings.redialBudgetMs === undefined ? {} : { redialBudgetMs: settings.redialBudgetMs }),
    log,
  });
}
