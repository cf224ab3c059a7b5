// SPDX-License-Identifier: Apache-2.0
// Deletes what a sandbox has on the platform, also when a crash or a failed creation left only the token or the name
// to find it by. One attempt; trying again is the caller's affair.
import { abortable, deadline, reasonOf } from '@peerpod-tls/base';
import type { SandboxDeps } from './deps.js';
import type { Instance, Provider } from '@peerpod-tls/providers';
import { logOf } from './log-of.js';
import { instanceOf, tokenOf, type Sandbox } from './sandbox.js';

const DELETION_MS = 600_000;

/** Deletes the instance of a sandbox, if there is any; throws what the provider threw. */
export async function reapInstance(deps: SandboxDeps, sandbox: Sandbox): Promise<void> {
  using signal = deadline(deps.settings.deletionMs ?? DELETION_MS);
  const { provider, metrics } = deps;
  const log = logOf(deps, sandbox);
  const known = instanceOf(sandbox);
  try {
    const token = tokenOf(sandbox);
    const found = known === null && token !== null ? await findByToken(deps, sandbox, token, signal) : [];
    for (const instance of known === null ? found : [known]) {
      const started = performance.now();
      // A provider that ignores its signal must not hold a sandbox for ever.
      await abortable(provider.deleteInstance(instance.id, signal), signal);
      metrics.deleted('ok');
      log.info({ instance: instance.id, ms: Math.round(performance.now() - started) }, 'instance deleted');
    }
  } catch (error) {
    metrics.deleted('failed');
    log.error({ err: error, instance: known?.id ?? '', reason: reasonOf(error) }, 'instance not deleted');
    throw error;
  }
}

async function findByToken(
  deps: SandboxDeps,
  sandbox: Sandbox,
  token: string,
  signal: AbortSignal,
): Promise<readonly Instance[]> {
  const others = claimedIds(deps.table.values(), sandbox.id);
  const all = await deps.provider.listInstances(signal);
  return all.filter(instance => !others.has(instance.id) && madeFor(instance, sandbox, token, deps.provider));
}

/** The instance a running sandbox should have, by its id where its record still says it. Null: there is none. */
export async function findRunning(
  deps: SandboxDeps,
  sandbox: Sandbox,
  signal: AbortSignal,
): Promise<Instance | null> {
  const known = instanceOf(sandbox);
  const [found] =
    known === null
      ? await findByToken(deps, sandbox, tokenOf(sandbox) ?? '', signal)
      : (await deps.provider.listInstances(signal)).filter(({ id }) => id === known.id);
  return found ?? null;
}

/** By token where the platform keeps one, else by name, which is unique among our sandboxes. */
function madeFor(instance: Instance, sandbox: Sandbox, token: string, provider: Provider): boolean {
  if (instance.token !== undefined) return instance.token === token;
  return instance.id === provider.idOf?.(token) || instance.name === providerName(sandbox, provider);
}

/** The name an instance gets: the sandbox's, cut to what the platform takes. */
export function providerName(sandbox: Sandbox, provider: Provider): string {
  const max = provider.limits.nameLength;
  const name = sandbox.instanceName;
  if (max <= 0 || name.length <= max) return name;
  // The end carries the sandbox's own characters, so the middle gives way.
  return `${name.slice(0, Math.max(0, max - 9))}${name.slice(-Math.min(9, max))}`;
}

/** Instances that belong to sandboxes other than `except`. */
export function claimedIds(sandboxes: Iterable<Sandbox>, except = ''): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const sandbox of sandboxes) {
    const instance = sandbox.id === except ? null : instanceOf(sandbox);
    if (instance !== null) ids.add(instance.id);
  }
  return ids;
}

/**
 * Instances on the platform that no sandbox accounts for, neither by id nor as one that is being made. Sandboxes known
 * before the platform was asked count as well: one that was stopped meanwhile may still be in its answer.
 */
export async function findOrphans(deps: SandboxDeps, signal: AbortSignal): Promise<readonly Instance[]> {
  const before = [...deps.table.values()];
  const all = await deps.provider.listInstances(signal);
  const sandboxes = [...before, ...deps.table.values()];
  const claimed = claimedIds(sandboxes);
  return all.filter(
    instance =>
      !claimed.has(instance.id) &&
      !sandboxes.some(sandbox => {
        const token = tokenOf(sandbox);
        return token !== null && madeFor(instance, sandbox, token, deps.provider);
      }),
  );
}
