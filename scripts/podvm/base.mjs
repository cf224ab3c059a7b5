// SPDX-License-Identifier: Apache-2.0
// Debian's part of the image: the packages, unpacked and configured once, kept as an archive until the list changes.
// Nothing of ours is in it.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXCLUDED_PATHS, FLAVOURS } from './packages.mjs';
import { BuildError } from './options.mjs';
import { step } from './step.mjs';

/** Changed when the way the archive is made changes. */
const RECIPE = 5;

/**
 * Path of the archive for these options, made now when it is not in the cache.
 * @param {ReturnType<typeof import('./options.mjs').readOptions> & {}} options
 * @param {number} epoch seconds; no file in the archive is newer
 */
export function baseArchive(options, epoch) {
  const { packages } = FLAVOURS[options.flavour];
  const recipe = JSON.stringify([
    RECIPE,
    process.arch,
    options.suite,
    options.mirror,
    packages,
    EXCLUDED_PATHS,
  ]);
  const key = createHash('sha256').update(recipe).digest('hex').slice(0, 16);
  const archive = join(options.cache, `base-${options.flavour}-${key}.tar`);
  if (existsSync(archive)) return archive;
  mkdirSync(options.cache, { recursive: true });
  const hooks = mkdtempSync(join(options.cache, 'hooks-'));
  try {
    const before = join(hooks, 'before');
    writeFileSync(before, beforePackages(), { mode: 0o755 });
    const partial = `${archive}.partial`;
    step(
      'mmdebstrap',
      [
        '--quiet',
        '--format=tar',
        '--variant=minbase',
        `--include=${packages.join(',')}`,
        ...EXCLUDED_PATHS.map(path => `--dpkgopt=path-exclude=${path}`),
        '--aptopt=APT::Install-Recommends "false"',
        `--essential-hook=${before} "$1"`,
        options.suite,
        partial,
        ...(options.mirror === null ? [] : [options.mirror]),
      ],
      { SOURCE_DATE_EPOCH: String(epoch) },
    );
    renameSync(partial, archive);
  } catch (error) {
    throw new BuildError(`Debian's packages could not be unpacked: ${error.message}`);
  } finally {
    rmSync(hooks, { recursive: true, force: true });
  }
  return archive;
}

/** Debian's own RAM disk is made small, since it is thrown away: ours is made for each image. */
function beforePackages() {
  return `#!/bin/sh
set -eu
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\\nBUSYBOX=n\\nCOMPRESS=gzip\\n' > "$1/etc/initramfs-tools/conf.d/pod-vm"
`;
}
