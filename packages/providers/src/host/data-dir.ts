// SPDX-License-Identifier: Apache-2.0
// Where a provider keeps its files on this machine (`-data-dir`): which directories will do, the one in it that belongs
// to one adaptor, and whether it can be written to now. What is kept in it is the provider's.
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { FileError, makeSecretDirectory, reasonOf } from '@peerpod-tls/base';
import { ProviderError } from '../errors.js';
import { freeSpaceAt, fullDisk, isFull, usedUp } from './free-space.js';

/**
 * The directory with the links of its path resolved, if it is an absolute one outside of the pods directory, which
 * other programs read and clean.
 *
 * @throws ProviderError ERR_PROVIDER_CONFIG naming `-data-dir`
 */
export function checkDataDir(dataDir: string, podsDir: string): string {
  const real = realOf(resolve(dataDir));
  const pods = realOf(resolve(podsDir));
  const refuse = (message: string, hint: string): ProviderError =>
    new ProviderError('ERR_PROVIDER_CONFIG', message, { hint });
  if (!isAbsolute(dataDir)) {
    throw refuse(
      `-data-dir is ${JSON.stringify(dataDir)}, not an absolute path`,
      'leave it out for the default',
    );
  }
  if (real === pods || real.startsWith(`${pods}/`)) {
    throw refuse(
      `-data-dir ${dataDir} lies in the pods directory ${podsDir}`,
      'that one is emptied at a reboot and other programs read it: keep private keys and what is known of machines elsewhere, or leave -data-dir out',
    );
  }
  return real;
}

/** Name of the directory for what one adaptor keeps, told by its pods directory: several may share a data directory. */
export function ownerName(podsDir: string): string {
  return createHash('sha256')
    .update(realOf(resolve(podsDir)))
    .digest('hex')
    .slice(0, 8);
}

/**
 * Makes the data directory and, in it, the home of one adaptor.
 * @throws ProviderError ERR_PROVIDER_DISK_FULL, or ERR_PROVIDER_UNAVAILABLE with what stands in the way
 */
export async function makeHome(dataDir: string, home: string): Promise<void> {
  try {
    await makeSecretDirectory(dataDir);
    await makeSecretDirectory(home);
  } catch (error) {
    throw await unusable(dataDir, error);
  }
}

/**
 * Whether files can be made there now, found out by making one of a byte.
 * @throws what `makeHome` throws
 */
export async function checkHome(dataDir: string, home: string): Promise<void> {
  await makeHome(dataDir, home);
  // One name, so that what a kill leaves behind goes with the next look.
  const probe = join(home, '.writable');
  try {
    await writeFile(probe, '\n');
  } catch (error) {
    throw await unusable(dataDir, error);
  } finally {
    await rm(probe, { force: true }).catch(() => {});
  }
  if (isFull(await freeSpaceAt(home))) throw await fullDisk(dataDir, 'disk');
}

async function unusable(dataDir: string, error: unknown): Promise<ProviderError> {
  const what = usedUp(error);
  if (what !== null) return fullDisk(dataDir, what, error);
  const own = error instanceof FileError ? error.hint : undefined;
  return new ProviderError(
    'ERR_PROVIDER_UNAVAILABLE',
    `-data-dir ${dataDir} cannot be used: ${reasonOf(error)}`,
    {
      hint: own ?? 'it has to be a directory of this user alone, on a file system that can be written to',
      cause: error,
    },
  );
}

/** The path with the links of its existing part resolved. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realOf(parent), basename(path));
  }
}
