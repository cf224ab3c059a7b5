// SPDX-License-Identifier: Apache-2.0
// How many sandboxes there may be, and which are kept for nothing. Decides and changes nothing.
import { formatDuration } from '@peerpod-tls/daemon';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import type { SandboxSettings } from './deps.js';
import { instanceOf, tokenOf, type Sandbox } from './sandbox.js';

/** Refuses another CreateVM while so many wait for a start that somebody must have forgotten them. */
export function checkCreated(
  { createdLimit, createdMs }: SandboxSettings,
  sandboxes: Iterable<Sandbox>,
): void {
  let waiting = 0;
  for (const { state } of sandboxes) if (state.t === 'created') waiting += 1;
  if (waiting < createdLimit) return;
  throw new StatusError(
    StatusCode.resourceExhausted,
    `${waiting} sandboxes were created and not started, -created-limit allows ${createdLimit}; stop some, or wait until they are forgotten ${formatDuration(createdMs)} after their creation`,
  );
}

/** Refuses a start beyond the number of VMs this node may have. `starting` are those on their way. */
export function checkVms(
  { vmLimit }: SandboxSettings,
  sandboxes: Iterable<Sandbox>,
  starting: ReadonlySet<string>,
): void {
  if (vmLimit === null) return;
  let vms = 0;
  for (const sandbox of sandboxes) if (starting.has(sandbox.id) || mayHaveVm(sandbox)) vms += 1;
  if (vms < vmLimit) return;
  throw new StatusError(
    StatusCode.resourceExhausted,
    `this node has ${vms} pod VMs, -peerpods-limit-per-node allows ${vmLimit}`,
  );
}

function mayHaveVm(sandbox: Sandbox): boolean {
  return sandbox.state.t === 'starting' || instanceOf(sandbox) !== null || tokenOf(sandbox) !== null;
}

/** Sandboxes without a VM that nobody has started, or stopped after a failed start, for too long. */
export function forgettable(
  { createdMs }: SandboxSettings,
  sandboxes: Iterable<Sandbox>,
  now: number,
): readonly Sandbox[] {
  return [...sandboxes].filter(sandbox => {
    const { t, since } = sandbox.state;
    const idle = t === 'created' || (t === 'failed' && !mayHaveVm(sandbox));
    return idle && now - Date.parse(since) > createdMs;
  });
}
