// SPDX-License-Identifier: Apache-2.0
// Starts the program that leads a local pod VM, apart from the adaptor's own life, and waits for its boot.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

import { anySignal } from '@peerpod-tls/base';
import { ProviderError } from '../errors.js';
import type { VmPaths } from '../host/vm-directory.js';
import { MARKER, startTime } from '../host/vm-processes.js';
import type { ProcessId } from '../host/vm-processes.js';

export interface StartedVm {
  readonly leader: ProcessId;
  /**
   * Resolves when the guest's forwarder listens and its agent is there. Lets go of the process either way.
   * @throws ProviderError when the VM ends instead; the signal's reason
   */
  booted(signal: AbortSignal): Promise<void>;
}

/** Nothing else of the adaptor's environment reaches a pod VM: it may hold cloud credentials. */
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'TZ', 'PEERPOD_DEMO', 'PEERPOD_LENT_READS'];

/** @throws ProviderError ERR_PROVIDER_CREATE when no process could be made */
export function startVm(paths: VmPaths, program: string): StartedVm {
  const log = openSync(paths.console, 'a', 0o600);
  try {
    const child = spawn(process.execPath, [program, paths.boot], {
      cwd: paths.directory,
      // A session of its own: no signal of the adaptor's terminal or process group reaches it.
      detached: true,
      env: { ...environment(), [MARKER]: paths.directory },
      stdio: ['ignore', log, log, 'ipc'],
    });
    const start = child.pid === undefined ? null : startTime(child.pid);
    if (child.pid === undefined || start === null) {
      child.on('error', () => {});
      throw new ProviderError('ERR_PROVIDER_CREATE', `no process could be started for ${program}`);
    }
    return { leader: { pid: child.pid, start }, booted: signal => booted(child, signal) };
  } finally {
    closeSync(log);
  }
}

async function booted(child: ChildProcess, signal: AbortSignal): Promise<void> {
  const settled = new AbortController();
  using either = anySignal(signal, settled.signal);
  const waiting = { signal: either };
  try {
    await Promise.race([
      once(child, 'message', waiting),
      once(child, 'exit', waiting).then(([code]) => {
        throw new ProviderError('ERR_PROVIDER_CREATE', `it ended while booting (code ${String(code)})`);
      }),
    ]);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    settled.abort();
    if (child.connected) child.disconnect();
    child.unref();
  }
}

function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    PASSED_ON.flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
