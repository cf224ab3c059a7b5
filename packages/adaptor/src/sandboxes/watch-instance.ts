// SPDX-License-Identifier: Apache-2.0
// Asks the provider, while an agent is waited for, whether its VM is alive at all. The waiting itself is elsewhere.
import { anySignal, codeOf, deadline, reasonOf } from '@peerpod-tls/base';
import type { Instance } from '@peerpod-tls/providers';
import { AdaptorError } from '../errors.js';
import type { SandboxDeps } from './deps.js';

const DIAGNOSE_MS = 1000;
const ANSWER_MS = 5000;

export interface WatchedInstance extends Disposable {
  /** Aborts with the caller's, or when the VM is known to be dead. */
  readonly signal: AbortSignal;
  /** What the VM died of; null while it may live. */
  death(): AdaptorError | null;
}

export function watchInstance(deps: SandboxDeps, instance: Instance, caller: AbortSignal): WatchedInstance {
  const { provider, log } = deps;
  const dead = new AbortController();
  const signal = anySignal(caller, dead.signal);
  let death: AdaptorError | null = null;
  let asking = false;
  const ask = async (): Promise<void> => {
    if (asking || signal.aborted) return;
    asking = true;
    using answer = deadline(ANSWER_MS, signal);
    try {
      const found = await provider.diagnose?.(instance.id, answer);
      if (found === undefined || found.alive) return;
      const tail = found.console.trim();
      death = new AdaptorError(
        'ERR_ADAPTOR_INSTANCE_DEAD',
        `the instance ${instance.id} died while it was waited for`,
        { hint: tail === '' ? undefined : `its console ended with: ${tail.slice(-2000)}` },
      );
      dead.abort(death);
    } catch (error) {
      log.debug(
        { instance: instance.id, reason: reasonOf(error), code: codeOf(error) },
        'instance not diagnosed',
      );
    } finally {
      asking = false;
    }
  };
  const timer = provider.diagnose === undefined ? undefined : setInterval(() => void ask(), DIAGNOSE_MS);
  return {
    signal,
    death: () => (caller.aborted ? null : death),
    [Symbol.dispose]: () => {
      clearInterval(timer);
      signal[Symbol.dispose]();
    },
  };
}
