// SPDX-License-Identifier: Apache-2.0
// Starts qemu apart from the adaptor's own life, waits until its machine runs, and finds the guest's address. Keeps no
// record of it.
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { sleep } from '@peerpod-tls/base';
import { ProviderError } from '../errors.js';
import { lastLines } from '../host/last-lines.js';
import { MARKER, isAlive, startTime } from '../host/vm-processes.js';
import type { ProcessId } from '../host/vm-processes.js';
import { keepConsole } from './console.js';
import type { ConsoleFiles } from './console.js';
import { connectQmp } from './qmp.js';

const POLL_MS = 50;

export interface QemuFiles extends ConsoleFiles {
  readonly monitor: string;
}

/** @throws ProviderError ERR_PROVIDER_UNAVAILABLE when no process could be made */
export function startQemu(files: QemuFiles, program: string, args: readonly string[]): ProcessId {
  const log = openSync(files.log, 'a', 0o600);
  let line: Writable | null = null;
  try {
    line = keepConsole(files);
    const child = spawn(program, args, {
      cwd: files.directory,
      detached: true,
      // The file of the guest's writes is made where the VM's other files are.
      env: { PATH: process.env['PATH'] ?? '', TMPDIR: files.directory, [MARKER]: files.directory },
      // The fourth is where command.ts has the console.
      stdio: ['ignore', log, log, line],
    });
    child.on('error', () => {});
    child.unref();
    const start = child.pid === undefined ? null : startTime(child.pid);
    if (child.pid === undefined || start === null) {
      throw new ProviderError('ERR_PROVIDER_UNAVAILABLE', `${program} could not be started`, {
        hint: 'on Debian: apt-get install qemu-system-x86',
      });
    }
    return { pid: child.pid, start };
  } finally {
    line?.destroy();
    closeSync(log);
  }
}

/**
 * Resolves once the machine runs: every file it was given is open by then.
 * @throws ProviderError ERR_PROVIDER_CREATE with qemu's words when it ends instead; the signal's reason
 */
export async function machineRuns(files: QemuFiles, qemu: ProcessId, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    if (!isAlive(qemu)) throw await ended(files);
    try {
      const qmp = await connectQmp(files.monitor, signal);
      await qmp.execute('query-status').finally(() => qmp.close());
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!isAlive(qemu)) throw await ended(files);
      if (error instanceof ProviderError) throw error;
    }
    await sleep(POLL_MS, signal);
  }
}

async function ended(files: QemuFiles): Promise<ProviderError> {
  const words = (await lastLines(files.log, 3)).replaceAll('\n', '; ');
  return new ProviderError(
    'ERR_PROVIDER_CREATE',
    `qemu ended at its start${words === '' ? '' : `: ${words}`}`,
  );
}

/**
 * The address behind `mac`, once this machine's neighbour table knows it: a guest that asks for a lease on a network
 * of this machine is in it.
 */
export async function neighbourAddress(mac: string, qemu: ProcessId, signal: AbortSignal): Promise<string> {
  for (;;) {
    signal.throwIfAborted();
    const found = addressIn(await readFile('/proc/net/arp', 'utf8'), mac);
    if (found !== null) return found;
    if (!isAlive(qemu))
      throw new ProviderError('ERR_PROVIDER_CREATE', 'the machine ended before it had an address');
    await sleep(POLL_MS * 10, signal);
  }
}

/** proc(5), net/arp: address, type, flags (2: complete), hardware address, mask, device. */
export function addressIn(arp: string, mac: string): string | null {
  for (const line of arp.split('\n').slice(1)) {
    const [address, , flags, hardware] = line.trim().split(/\s+/);
    if (hardware?.toLowerCase() === mac && flags !== '0x0') return address ?? null;
  }
  return null;
}
