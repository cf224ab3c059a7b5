// SPDX-License-Identifier: Apache-2.0
// A disk that is full for real: a small tmpfs, where this process may mount one.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, rmdirSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface SmallDisk {
  /** Takes all free space but for this many bytes, in whole blocks of the file system. */
  fill(leave?: number): void;
  free(): void;
}

/** Mounts a tmpfs at an existing directory, until the test is over. */
export function smallDisk(
  t: { teardown(after: () => void): unknown },
  directory: string,
  options: string,
): SmallDisk {
  mount(directory, options);
  t.teardown(() => execFileSync('umount', ['-l', directory]));
  const filler = path.join(directory, 'filler');
  return {
    fill: (leave = 0) => {
      rmSync(filler, { force: true });
      const { bavail, bsize } = statfsSync(directory);
      writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - leave)));
    },
    free: () => rmSync(filler, { force: true }),
  };
}

/** Why there can be no small disk here, or false. */
export function noSmallDisk(): string | false {
  const probe = mkdtempSync(path.join(tmpdir(), 'sd-'));
  try {
    mount(probe, 'size=64k');
    execFileSync('umount', ['-l', probe]);
    return false;
  } catch {
    return 'this process may not mount a tmpfs';
  } finally {
    rmdirSync(probe);
  }
}

function mount(directory: string, options: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=0700,${options}`, 'tmpfs', directory], {
    stdio: 'ignore',
  });
}
