// SPDX-License-Identifier: Apache-2.0
// What each test with virtual machines begins with: whether there can be any here, the time it may take, and a directory
// for them. Imports the test runner, so that only tests may import it.
import { spawnSync } from 'node:child_process';
import t, { type Test } from 'tap';
import { world } from './qemu-world.js';

/** Time for the machines of a test, in seconds each: an emulated boot on a busy machine takes most of it. */
const SECONDS_PER_MACHINE = 240;

let seconds = 0;

export interface VmTestOptions {
  /** Machines that are booted one after another. */
  readonly machines: number;
  /** What else the test needs and does not find here. */
  readonly missing?: string | false;
}

/** A test with a short directory that goes with it, after every virtual machine in it; skips where there can be none. */
export function vmTest(
  name: string,
  { machines, missing = false }: VmTestOptions,
  body: (t: Test, directory: string) => Promise<void>,
): void {
  const own = machines * SECONDS_PER_MACHINE;
  seconds += own;
  // The file's, too: the runner would end it after a minute.
  t.setTimeout(seconds * 1000);
  const skip = vmsMissing() || missing;
  void t.test(name, { skip, timeout: own * 1000 }, t => body(t, world(t)));
}

/** Why no virtual machine can be tried here, or false. */
function vmsMissing(): string | false {
  const missing = ['qemu-system-x86_64', 'mmdebstrap', 'mke2fs', 'debugfs'].filter(
    name => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${name}`]).status !== 0,
  );
  if (missing.length > 0) return `needs ${missing.join(', ')} (Debian: qemu-system-x86 mmdebstrap e2fsprogs)`;
  if (process.getuid?.() !== 0) return 'needs root, to build the image';
  return process.arch === 'x64' ? false : `needs an amd64 machine, this is ${process.arch}`;
}
