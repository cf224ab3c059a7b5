// SPDX-License-Identifier: Apache-2.0
// The one writer of files that hold keys: 0600 in a directory of ours, complete or not there at all, on disk before it
// returns. What is in them is the caller's affair. Waiting for the disk is asynchronous; creating, renaming and looking
// are not, since they take microseconds and a turn through the thread pool takes longer.
import {
  closeSync,
  constants,
  fdatasync,
  fsync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { mkdir, readdir, readlink, rename, rm, symlink, unlink } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, FileError, messageOf } from './errors.js';
import { KeyedMutex } from './keyed-mutex.js';
import { makeDirectory } from './make-directory.js';

type Data = string | Uint8Array;

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Names of one set: the link that is switched, and what it points to. Readers see neither. */
const CURRENT = '..data';
const SET_PREFIX = '..set-';
const LINK_PREFIX = '..link-';

const syncData = promisify(fdatasync);
const syncAll = promisify(fsync);

function translate(error: unknown, path: string): FileError {
  if (error instanceof FileError) return error;
  const code = codeOf(error) || messageOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new FileError('ERR_FILE_DISK_FULL', `there is no free space to write ${path}`, {
      hint: 'free some space; what was there before is unchanged',
      cause: error,
    });
  }
  return new FileError('ERR_FILE_WRITE_FAILED', `${path} cannot be written (${code})`, {
    hint: 'check that the directory exists, belongs to the user of this program and is on a file system that can be written to',
    cause: error,
  });
}

const unsafe = (path: string, what: string, hint: string): FileError =>
  new FileError('ERR_FILE_UNSAFE_PATH', `${path} ${what}`, { hint });

/** What is at the path, links not followed, or null. */
const entryAt = (path: string): Stats | null => lstatSync(path, { throwIfNoEntry: false }) ?? null;

/**
 * Makes a directory, and any above it that are missing, with mode 0700; or accepts one that is already there, if it is
 * ours alone to change. Throws ERR_FILE_UNSAFE_PATH for a link, a directory of another user and one that others may
 * write to; ERR_FILE_DISK_FULL; ERR_FILE_WRITE_FAILED.
 */
export async function makeSecretDirectory(path: string): Promise<void> {
  try {
    const entry = entryAt(path) ?? (await makeDirectories(path));
    if (entry.isSymbolicLink()) throw unsafe(path, 'is a link', 'secrets are kept in a real directory');
    if (!entry.isDirectory()) throw unsafe(path, 'is not a directory', 'move it out of the way');
    const user = process.geteuid?.();
    if (user !== undefined && entry.uid !== user) {
      throw unsafe(
        path,
        `belongs to user ${entry.uid}, not to ${user}`,
        `chown it, or use another directory`,
      );
    }
    if ((entry.mode & 0o022) !== 0) {
      throw unsafe(path, 'can be written to by other users', `run: chmod 700 ${path}`);
    }
  } catch (error) {
    throw translate(error, path);
  }
}

async function makeDirectories(path: string): Promise<Stats> {
  const made = makeDirectory(path, 0o700);
  if (made !== null) await syncDirectory(dirname(made));
  return lstatSync(path);
}

async function syncDirectory(path: string): Promise<void> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await syncAll(fd);
  } finally {
    closeSync(fd);
  }
}

/** A new file with mode 0600, synced. */
async function writeNew(path: string, data: Data): Promise<void> {
  const fd = openSync(path, CREATE, 0o600);
  try {
    writeFileSync(fd, data);
    // Content and length are all a new file has; its name reaches the disk with its directory.
    await syncData(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes a file with mode 0600, making its directory if need be. Whoever reads the path at any time, also after a
 * crash, finds the old content or the new one. A failed write leaves the old one. Throws ERR_FILE_UNSAFE_PATH for a
 * path that is a link or no regular file, and what `makeSecretDirectory` throws.
 */
export async function writeSecretFile(path: string, data: Data): Promise<void> {
  const directory = dirname(path);
  await makeSecretDirectory(directory);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
  try {
    const entry = entryAt(path);
    if (entry && !entry.isFile()) {
      throw unsafe(
        path,
        entry.isSymbolicLink() ? 'is a link' : 'is not a regular file',
        'move it out of the way',
      );
    }
    await writeNew(temporary, data);
    renameSync(temporary, path);
    await syncDirectory(directory);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw translate(error, path);
  }
}

/** Removes what writers that were killed left in a directory. Call it before the first write, not beside one. */
export async function sweepSecretDirectory(path: string): Promise<void> {
  try {
    for (const name of await readdir(path)) {
      if (/^\..+\.[0-9a-f]{16}\.tmp$/.test(name)) await rm(join(path, name), { force: true });
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw translate(error, path);
  }
}

const sets = new KeyedMutex();

/**
 * Writes files that belong together into one directory, so that they change together: each `dir/name` is a link through
 * `dir/..data` to the set in force, and that one link is renamed. Files of the former set that are not in the new one
 * disappear. A failed write leaves the former set. Calls for one directory are served one after another; there may be
 * one writing process. Throws what `writeSecretFile` throws.
 */
export async function writeSecretSet(dir: string, files: Readonly<Record<string, Data>>): Promise<void> {
  for (const name of Object.keys(files)) {
    if (name === '' || name.startsWith('.') || name.includes('/') || name.includes('\0')) {
      throw unsafe(
        JSON.stringify(name),
        'is no plain file name',
        'use a name without slashes that does not begin with a dot',
      );
    }
  }
  await sets.run(resolve(dir), () => replaceSet(dir, files));
}

async function replaceSet(dir: string, files: Readonly<Record<string, Data>>): Promise<void> {
  await makeSecretDirectory(dir);
  const id = randomBytes(8).toString('hex');
  const fresh = `${SET_PREFIX}${id}`;
  const link = `${LINK_PREFIX}${id}`;
  const names = Object.keys(files);
  try {
    await checkNamesFree(dir, names);
    await mkdir(join(dir, fresh), { mode: 0o700 });
    for (const [name, data] of Object.entries(files)) await writeNew(join(dir, fresh, name), data);
    await syncDirectory(join(dir, fresh));
    // Links of new names dangle until the switch: the file is not there yet, as before.
    for (const name of names) await linkThroughCurrent(dir, name);
    await symlink(fresh, join(dir, link));
    await rename(join(dir, link), join(dir, CURRENT));
    await syncDirectory(dir);
  } catch (error) {
    if ((await readlink(join(dir, CURRENT)).catch(() => '')) !== fresh) {
      await rm(join(dir, fresh), { recursive: true, force: true });
      await rm(join(dir, link), { force: true });
    }
    throw translate(error, dir);
  }
  await tidySet(dir, fresh, new Set(names));
}

const throughCurrent = (name: string): string => join(CURRENT, name);

async function checkNamesFree(dir: string, names: readonly string[]): Promise<void> {
  for (const name of [CURRENT, ...names]) {
    const path = join(dir, name);
    const entry = entryAt(path);
    if (!entry) continue;
    const target = entry.isSymbolicLink() ? await readlink(path) : null;
    const ours =
      name === CURRENT
        ? target?.startsWith(SET_PREFIX) && !target.includes('/')
        : target === throughCurrent(name);
    if (ours !== true) throw unsafe(path, 'was not put there by this writer', 'move it out of the way');
  }
}

async function linkThroughCurrent(dir: string, name: string): Promise<void> {
  try {
    await symlink(throughCurrent(name), join(dir, name));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Removes former sets, also of writers that were killed, and links to names that are gone. The new set is in force. */
async function tidySet(dir: string, current: string, names: ReadonlySet<string>): Promise<void> {
  try {
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.name.startsWith(LINK_PREFIX)) await unlink(path);
      else if (entry.name.startsWith(SET_PREFIX)) {
        if (entry.name !== current) await rm(path, { recursive: true, force: true });
      } else if (entry.isSymbolicLink() && !names.has(entry.name)) {
        if ((await readlink(path)) === throughCurrent(entry.name)) await unlink(path);
      }
    }
  } catch (error) {
    throw translate(error, dir);
  }
}
