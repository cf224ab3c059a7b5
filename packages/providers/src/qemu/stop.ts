// SPDX-License-Identifier: Apache-2.0
// Ends a virtual machine: asked over its monitor first, then by signals. Its files and its record are not touched.
import { deadline, sleep } from '@peerpod-tls/base';
import { endProcesses, isAlive } from '../host/vm-processes.js';
import type { ProcessId } from '../host/vm-processes.js';
import { connectQmp } from './qmp.js';

/** Milliseconds qemu may take to end when asked over its monitor, when asked by a signal, and when killed. */
const QUIT_MS = 3_000;
const GRACE_MS = 2_000;
const KILL_MS = 5_000;
/** All of it, in milliseconds. */
export const STOP_MS = QUIT_MS + GRACE_MS + KILL_MS;

export interface StopFiles {
  readonly directory: string;
  readonly monitor: string;
}

/** Resolves with the processes that would not go. Rejects with the signal's reason. */
export async function stopQemu(
  files: StopFiles,
  leader: ProcessId | null,
  signal: AbortSignal,
): Promise<readonly number[]> {
  if (leader !== null && isAlive(leader)) await quit(files.monitor, leader, signal);
  return endProcesses(files.directory, { leader, graceMs: GRACE_MS, killMs: KILL_MS, signal });
}

/** A pod VM has nothing to save, so the guest is not asked. What qemu does not do, signals will. */
async function quit(monitor: string, leader: ProcessId, signal: AbortSignal): Promise<void> {
  const end = performance.now() + QUIT_MS;
  try {
    using late = deadline(QUIT_MS, signal);
    const qmp = await connectQmp(monitor, late);
    await qmp.execute('quit').finally(() => qmp.close());
  } catch {
    signal.throwIfAborted();
  }
  while (isAlive(leader) && performance.now() < end) await sleep(20);
}
