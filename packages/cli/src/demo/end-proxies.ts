// SPDX-License-Identifier: Apache-2.0
// The proxies that the demo's adaptor started: they outlive it by design, and so the demo asks them to end.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { deadline, sleep } from '@peerpod-tls/base';
import { findProxies, type FoundProxy, withProxy } from '../proxy/proxies.js';

/** Between two looks whether a process is still there. */
const LOOK_MS = 10;

/** Asks each to end with whatever it has, and waits until it has. One that does not in `patienceMs` is left to the sweep. */
export async function endProxies(stateDir: string, patienceMs: number): Promise<void> {
  // The adaptor may have ended before it started one.
  if (!existsSync(join(stateDir, 'proxy'))) return;
  const found = await findProxies({ stateDir, proxySocket: '' });
  await Promise.allSettled(found.map(one => endProxy(one, patienceMs)));
}

async function endProxy(found: FoundProxy, patienceMs: number): Promise<void> {
  if (found.t === 'silent') return;
  const { control, pid } = found.proxy;
  using within = deadline(patienceMs);
  await withProxy(control, proxy => proxy.Stop({ now: true }, { signal: within }));
  while (isThere(pid)) await sleep(LOOK_MS, within);
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
