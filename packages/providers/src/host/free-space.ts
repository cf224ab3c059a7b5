// SPDX-License-Identifier: Apache-2.0
// What there is to say when the disk under a provider's files is full: where, how much is free, and the way out. Looks,
// changes nothing.
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '@peerpod-tls/base';
import { ProviderError } from '../errors.js';

/** What the user of this program can still write to a file system. */
export interface FreeSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Files that can still be made; null where the file system has no such limit. */
  readonly freeFiles: number | null;
}

/** The smallest file takes a block of this many bytes on most file systems. */
const ONE_BLOCK = 4096;

/** Free space at a path, or at the directory above it that there is; null when the system does not say. */
export async function freeSpaceAt(path: string): Promise<FreeSpace | null> {
  try {
    const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(path);
    // Some of a file system may be kept for root.
    const free = process.geteuid?.() === 0 ? bfree : bavail;
    return {
      freeBytes: free * bsize,
      totalBytes: blocks * bsize,
      freeFiles: files === 0 ? null : ffree,
    };
  } catch (error) {
    const above = dirname(path);
    return codeOf(error) === 'ENOENT' && above !== path ? freeSpaceAt(above) : null;
  }
}

/** What an error or one of its causes says was used up: the disk, the user's quota, or nothing of the kind. */
export function usedUp(error: unknown): 'disk' | 'quota' | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    const code = codeOf(at);
    if (code === 'ENOSPC') return 'disk';
    if (code === 'EDQUOT') return 'quota';
  }
  return null;
}

/** No file can be written any more, so that whatever failed may have failed of it. */
export function isFull(space: FreeSpace | null): boolean {
  return space !== null && (space.freeBytes < ONE_BLOCK || space.freeFiles === 0);
}

/** What is missing below a directory, in words, with the flag that chooses another. */
export function noFreeSpace(dataDir: string, what: 'disk' | 'quota', space: FreeSpace | null): string {
  return `there is no free space in ${dataDir} (${[...figures(what, space), '-data-dir'].join(', ')})`;
}

export const WAY_OUT = 'free some space there, or give a -data-dir on another file system';

/** A full disk as a provider's error. */
export async function fullDisk(
  dataDir: string,
  what: 'disk' | 'quota',
  cause?: unknown,
): Promise<ProviderError> {
  const message = noFreeSpace(dataDir, what, await freeSpaceAt(dataDir));
  return new ProviderError('ERR_PROVIDER_DISK_FULL', message, { hint: WAY_OUT, cause });
}

/** What a full disk is thrown as; any other error comes back as it is. */
export async function fullDiskOr(dataDir: string, error: unknown): Promise<unknown> {
  const what = usedUp(error);
  return what === null ? error : fullDisk(dataDir, what, error);
}

/** How much there is, like `12 KiB of 1.5 GiB free`. */
export function spaceInWords(space: FreeSpace): string {
  const bytes = `${inUnits(space.freeBytes)} of ${inUnits(space.totalBytes)} free`;
  return space.freeFiles === 0 ? `${bytes}, but no further file` : bytes;
}

function figures(what: 'disk' | 'quota', space: FreeSpace | null): string[] {
  // What a quota leaves is not what the file system has.
  if (what === 'quota') return [`the disk quota of user ${process.geteuid?.() ?? 'unknown'} is used up`];
  return space === null ? [] : [spaceInWords(space)];
}

/** Bytes in the largest binary unit that they fill, cut down to one decimal. */
function inUnits(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${Math.floor((bytes * 10) / 1024 ** power) / 10} ${units[power]}`;
}
