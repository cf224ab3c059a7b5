// SPDX-License-Identifier: Apache-2.0
// Makes a directory inside the guest's tree, resolving symbolic links as if the tree were the whole file system.
// Knows nothing of containers or calls.
import { lstat, mkdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf } from '@peerpod-tls/base';

export type Ensured =
  /** Something is at the path already, of whatever kind; the agent decides whether it will do. */
  | { readonly t: 'there' }
  | { readonly t: 'made'; readonly directories: number }
  | { readonly t: 'failed'; readonly reason: string };

/** As many as the kernel follows before it answers ELOOP. */
const MAX_LINKS = 40;

/** Why a path may not be acted upon, or null if it may. */
export function hostilePath(path: string): string | null {
  if (path === '') return 'is empty';
  if (path.includes('\0')) return 'contains a NUL byte';
  if (!path.startsWith('/')) return 'is not absolute';
  if (path.split('/').includes('..')) return 'contains ".."';
  if (Buffer.byteLength(path) > 4096) return 'is longer than 4096 bytes';
  return null;
}

/** Where an absolute guest path lies when the guest's tree starts at `root`. Nothing is resolved. */
export function rooted(root: string, path: string): string {
  return root === '/' ? path : join(root, path);
}

/**
 * Makes `path` and its missing parents (mode 0755) below `root`, where `hostilePath(path)` is null.
 *
 * Links are followed only inside `root`, absolute ones from `root`. Nothing is made through a link that leads nowhere:
 * a container that can plant such a link would choose where in the guest a directory appears.
 */
export async function ensureDirectory(root: string, path: string): Promise<Ensured> {
  const ahead = split(path).map(name => ({ name, fromLink: false }));
  let here: string[] = [];
  let links = 0;
  let made = 0;
  try {
    for (let step = ahead.shift(); step !== undefined; step = ahead.shift()) {
      if (step.name === '..') {
        here.pop();
        continue;
      }
      const full = join(root, ...here, step.name);
      const found = await kindOf(full);
      if (found === 'absent') {
        if (step.fromLink)
          return { t: 'failed', reason: `a symbolic link on the way leads to ${full}, which does not exist` };
        if (await makeOne(full)) made += 1;
        ahead.unshift(step);
      } else if (found === 'link') {
        if ((links += 1) > MAX_LINKS) return { t: 'failed', reason: 'too many symbolic links on the way' };
        const target = await readlink(full);
        if (target.startsWith('/')) here = [];
        ahead.unshift(...split(target).map(name => ({ name, fromLink: true })));
      } else if (found === 'directory') {
        here.push(step.name);
      } else if (ahead.length > 0) {
        return { t: 'failed', reason: `${full} is not a directory` };
      }
    }
  } catch (error) {
    return { t: 'failed', reason: messageOf(error) };
  }
  return made === 0 ? { t: 'there' } : { t: 'made', directories: made };
}

function split(path: string): string[] {
  return path.split('/').filter(name => name !== '' && name !== '.');
}

async function kindOf(path: string): Promise<'absent' | 'link' | 'directory' | 'other'> {
  try {
    const found = await lstat(path);
    if (found.isSymbolicLink()) return 'link';
    return found.isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'absent';
    throw error;
  }
}

/** True when this call made it; false when somebody else just did, which the next look sees. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o755 });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}
