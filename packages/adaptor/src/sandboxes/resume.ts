// SPDX-License-Identifier: Apache-2.0
// A running sandbox of an earlier run: its socket is opened again, its VM looked at, and asked for at the provider when
// its record told too little. Which sandboxes are running is decided elsewhere.
import { abortable, deadline, reasonOf } from '@peerpod-tls/base';
import type { Instance } from '@peerpod-tls/providers';
import { checkResumed } from './check-resumed.js';
import type { SandboxDeps } from './deps.js';
import { logOf } from './log-of.js';
import { proxySpec } from './proxy-spec.js';
import { findRunning } from './reap-instance.js';
import { checkSandboxDirectory } from './sandbox-id.js';
import { withFound, type Sandbox } from './sandbox.js';

/** How long the platform may take to say which instance a sandbox has, in milliseconds. */
const LOOK_UP_MS = 60_000;

const hasAddress = ({ addresses }: Instance): boolean => (addresses[0] ?? '') !== '';

/** Opens the socket; what goes on after that ends with `signal`. Resolves when the socket is open, and never rejects. */
export async function resumeRunning(deps: SandboxDeps, sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  if (sandbox.state.t !== 'running') return;
  const log = logOf(deps, sandbox);
  const { instance } = sandbox.state;
  if (instance.id === '' || !hasAddress(instance)) {
    lookUp(deps, sandbox, signal).catch((err: unknown) => {
      if (!signal.aborted) log.error({ err, reason: reasonOf(err) }, 'instance of the sandbox not found');
    });
    if (!hasAddress(instance)) return;
  }
  await reopen(deps, sandbox, instance, signal);
}

async function reopen(
  deps: SandboxDeps,
  sandbox: Sandbox,
  instance: Instance,
  signal: AbortSignal,
): Promise<void> {
  const log = logOf(deps, sandbox);
  try {
    if (deps.dataPath.holds(sandbox.id)) {
      // Its proxy has gone on all the while, and so may the connections on its socket.
      log.info({ instance: instance.id, open: true }, 'sandbox resumed');
      void checkResumed(deps, sandbox, instance, signal);
      return;
    }
    checkSandboxDirectory(deps.settings.podsDir, sandbox.id);
    await deps.dataPath.open(proxySpec(deps, sandbox, instance));
    log.info({ instance: instance.id }, 'sandbox resumed');
    void checkResumed(deps, sandbox, instance, signal);
  } catch (err) {
    log.error({ err, reason: reasonOf(err) }, 'sandbox not resumed');
  }
}

async function lookUp(deps: SandboxDeps, sandbox: Sandbox, stop: AbortSignal): Promise<void> {
  using signal = deadline(LOOK_UP_MS, stop);
  const found = await abortable(findRunning(deps, sandbox, signal), signal);
  if (found === null) throw new Error(`the platform has no instance of sandbox ${sandbox.id}`);
  const failure = await deps.table.force(sandbox.id, row => withFound(row, found));
  if (failure !== undefined) logOf(deps, sandbox).error({ err: failure }, 'sandbox record not written');
  const known = sandbox.state.t === 'running' && hasAddress(sandbox.state.instance);
  if (!known && hasAddress(found) && !stop.aborted) await reopen(deps, sandbox, found, stop);
}
