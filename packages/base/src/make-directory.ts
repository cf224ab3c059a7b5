// SPDX-License-Identifier: Apache-2.0
// The one maker of directories that may miss their parents. Node's own `mkdir` with `recursive` never returns below
// /proc (full CPU, deaf to signals) and answers ENOENT on a read-only file system; this one asks for a directory at a
// time and passes on what the system said.
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { codeOf } from './errors.js';

/**
 * Makes a directory and those above it that are missing. Returns the topmost one that was made, or null when the
 * directory, or a link to one, was there already.
 * @throws the system's error, with its `code` and the path that could not be made: EACCES, EROFS, ENOSPC, ENOTDIR, and
 * EEXIST where something else is at the path
 */
export function makeDirectory(path: string, mode = 0o777): string | null {
  const missing: string[] = [];
  for (let at = resolve(path); ; at = dirname(at)) {
    if (isDirectory(at)) break;
    missing.push(at);
    if (dirname(at) === at) break;
  }
  let first: string | null = null;
  for (const directory of missing.toReversed()) {
    try {
      mkdirSync(directory, { mode });
      first ??= directory;
    } catch (error) {
      // Somebody may make the same one at the same time.
      if (codeOf(error) !== 'EEXIST' || !isDirectory(directory)) throw error;
    }
  }
  return first;
}

/** Whether a directory is there, through links. What is anything else, or cannot be seen, is for mkdir to refuse. */
function isDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false;
  }
}
