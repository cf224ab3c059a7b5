// SPDX-License-Identifier: Apache-2.0
// Paths of the guest under the directory that stands for its root. A path that is not canonical is refused, and so is
// one that leads through a symbolic link: it could lead out of that directory.
import { lstatSync } from 'node:fs';
import { join, posix } from 'node:path';
import { makeDirectory } from '@peerpod-tls/base';
import { failedPrecondition, invalidArgument, systemError } from './guest-status.js';

/** Longest path the kernel takes, with its final zero (PATH_MAX). */
const MAX_PATH = 4095;

/** @throws StatusError InvalidArgument unless `path` is absolute and has no `.`, `..`, `//` or zero byte */
function checkCanonical(path: string): void {
  const canonical = posix.normalize(path) === path && (path === '/' || !path.endsWith('/'));
  if (!canonical || !path.startsWith('/') || path.includes('\0') || path.length > MAX_PATH) {
    throw invalidArgument(`${JSON.stringify(path.slice(0, 256))} is not an absolute canonical path`);
  }
}

/**
 * The path under `root` of a guest path, whose directories exist up to where the first one is missing.
 * @throws StatusError InvalidArgument (not canonical), FailedPrecondition (a link or a file on the way)
 */
export function resolveGuestPath(root: string, path: string): string {
  checkCanonical(path);
  let here = root;
  const names = path.split('/').filter(name => name !== '');
  for (const name of names.slice(0, -1)) {
    here = join(here, name);
    const found = lstatSync(here, { throwIfNoEntry: false });
    if (found === undefined) break;
    if (found.isSymbolicLink()) throw failedPrecondition(`${path} leads through the symbolic link ${name}`);
    if (!found.isDirectory())
      throw failedPrecondition(`${path} leads through ${name}, which is no directory`);
  }
  return join(root, ...names);
}

/**
 * A directory of the guest, made with its parents if it is missing, as a container runtime makes a working directory.
 * @throws StatusError as {@link resolveGuestPath}, or the system's error
 */
export function ensureGuestDirectory(root: string, path: string, mode = 0o755): string {
  const target = root === '/' ? plain(path) : resolveGuestPath(root, path);
  try {
    makeDirectory(target, mode);
  } catch (error) {
    throw systemError(`cannot make the directory ${path}`, error);
  }
  return target;
}

/** Where the guest's root is the machine's, links like /bin and /var/run are part of it and lead nowhere else. */
function plain(path: string): string {
  checkCanonical(path);
  return path;
}
