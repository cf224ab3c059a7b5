// SPDX-License-Identifier: Apache-2.0
// The log of a daemon goes to a disk that is full, or to a reader that has gone: the daemon starts, serves and ends as if
// nothing were wrong.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { localFlags, socketIn } from '../../kit/adaptor-program.js';
import { temporary } from '../../kit/directory.js';
import { leftovers, nothing } from '../../kit/leftovers.js';
import { binOf } from '../../kit/program.js';
import { dialAgent, dialHypervisor, startPod, type ShimHypervisor } from '../../kit/shim.js';

/** Starts the adaptor with these as its standard output and error. */
function start(t: Test, directory: string, out: 'pipe' | number): ChildProcess {
  const words = [
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    binOf('cloud-api-adaptor'),
    ...localFlags(directory),
  ];
  const child = spawn('env', words, { stdio: ['ignore', out, out] });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

/** Without a log there is no line to wait for: the socket is. */
async function served(child: ChildProcess, directory: string): Promise<ShimHypervisor> {
  for (;;) {
    const shim = await dialHypervisor(socketIn(directory)).catch(() => null);
    if (shim !== null) return shim;
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    await sleep(20);
  }
}

for (const what of ['a full disk', 'a reader that has gone'] as const) {
  t.test(what, { timeout: 30_000 }, async t => {
    const directory = temporary(t);
    const full = what === 'a full disk' ? openSync('/dev/full', 'w') : null;
    const child = start(t, directory, full ?? 'pipe');
    if (full !== null) closeSync(full);
    child.stdout?.destroy();
    child.stderr?.destroy();
    const ended = once(child, 'exit');
    const { hypervisor } = await served(child, directory);
    const { client, health } = await dialAgent(await startPod(hypervisor, 'mute'));
    t.match(await health.Check({}), { status: 1 });
    client.close();
    await hypervisor.StopVM({ id: 'mute' });
    child.kill('SIGTERM');
    t.strictSame(await ended, [0, null], 'exit code');
    t.strictSame(await leftovers(directory), nothing);
  });
}
