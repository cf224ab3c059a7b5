// SPDX-License-Identifier: Apache-2.0
// Writes several files so that all of them appear or none: every one is on disk under another name before the first
// gets its own. The only writer in the guest. What is in the files is the caller's.
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf, messageOf, readSmallFile } from '@peerpod-tls/base';
import { MAX_USER_DATA_BYTES } from '../cloud-config.js';
import { UserDataError } from '../errors.js';

export interface StagedFile {
  /** Absolute path in the guest. */
  readonly path: string;
  readonly content: string | Uint8Array;
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Writes the files with mode 0600, below `root`, and makes missing directories with mode 0700. A file that is there is
 * replaced. The names are given in the order of the list, so what others wait for goes last.
 *
 * No link is followed below `root`, and every directory on the way must be ours or root's and closed to others'
 * writing; so nobody can lead a file elsewhere between the check and the write.
 *
 * @throws UserDataError `ERR_USER_DATA_UNSAFE_PATH`, `ERR_USER_DATA_WRITE`; before the first file has got its name,
 * except when renaming itself fails
 */
export async function writeStaged(root: string, files: readonly StagedFile[]): Promise<void> {
  const base = await within('the root directory', root, () => realpath(root));
  const staged: { readonly temporary: string; readonly path: string }[] = [];
  try {
    for (const file of files) {
      const directory = await openDirectory(base, dirname(file.path));
      const path = join(directory, basename(file.path));
      await checkReplaceable(path, file.path);
      await sweep(directory, basename(file.path));
      const temporary = join(directory, `.${basename(file.path)}.${randomBytes(8).toString('hex')}.tmp`);
      staged.push({ temporary, path });
      await within('the file', file.path, () => writeNew(temporary, file.content));
    }
    for (const { temporary, path } of staged) await within('the file', path, () => rename(temporary, path));
  } catch (error) {
    await Promise.allSettled(staged.map(({ temporary }) => rm(temporary, { force: true })));
    throw error;
  }
  for (const directory of new Set(staged.map(({ path }) => dirname(path)))) {
    await within('the directory', directory, () => syncDirectory(directory));
  }
}

/**
 * A file that is below `root` already, as text, or null when there is none. No link is followed on the last step.
 *
 * @throws UserDataError `ERR_USER_DATA_UNSAFE_PATH`, `ERR_USER_DATA_TOO_LARGE`, `ERR_USER_DATA_SOURCE`
 */
export async function readStaged(root: string, path: string): Promise<string | null> {
  const full = join(root, path);
  const found = await statOrNull(full);
  if (found === null) return null;
  await checkReplaceable(full, path);
  try {
    return readSmallFile(full, { maxBytes: MAX_USER_DATA_BYTES, noFollow: true }).bytes.toString('utf8');
  } catch (cause) {
    if (codeOf(cause) === 'ERR_FILE_TOO_BIG')
      throw new UserDataError('ERR_USER_DATA_TOO_LARGE', `${path} has over ${MAX_USER_DATA_BYTES} bytes`);
    throw new UserDataError('ERR_USER_DATA_SOURCE', `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Walks down from `base`, makes what is missing, and refuses what could lead elsewhere. */
async function openDirectory(base: string, path: string): Promise<string> {
  let directory = base;
  for (const part of path.split('/').filter(name => name !== '')) {
    directory = join(directory, part);
    const found = await statOrNull(directory);
    if (found === null) {
      await within('the directory', directory, () => mkdir(directory, { mode: 0o700 }));
      continue;
    }
    if (found.isSymbolicLink()) throw unsafe(directory, 'is a link, which is not followed');
    if (!found.isDirectory()) throw unsafe(directory, 'is not a directory');
    const user = process.geteuid?.() ?? found.uid;
    if (found.uid !== user && found.uid !== 0) throw unsafe(directory, `belongs to user ${found.uid}`);
    if ((found.mode & 0o022) !== 0 && (found.mode & 0o1000) === 0)
      throw unsafe(directory, 'can be written to by other users');
  }
  return directory;
}

async function checkReplaceable(path: string, asked: string): Promise<void> {
  const found = await statOrNull(path);
  if (found === null || found.isFile()) return;
  throw unsafe(
    asked,
    found.isSymbolicLink() ? 'is a link, which is not followed' : 'is there and is no regular file',
  );
}

/** What a run that was killed left of this file; there may be a key in it. */
async function sweep(directory: string, name: string): Promise<void> {
  for (const entry of await within('the directory', directory, () => readdir(directory))) {
    const rest = entry.startsWith(`.${name}.`) ? entry.slice(name.length + 2) : '';
    if (/^[\da-f]{16}\.tmp$/.test(rest)) await rm(join(directory, entry), { force: true });
  }
}

async function writeNew(path: string, content: string | Uint8Array): Promise<void> {
  const handle = await open(path, CREATE, 0o600);
  try {
    // A file must not come out any wider under an unusual mask, nor narrower.
    await handle.chmod(0o600);
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function statOrNull(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return null;
    throw failed('the path', path, cause);
  }
}

async function within<T>(what: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw failed(what, path, cause);
  }
}

function failed(what: string, path: string, cause: unknown): UserDataError {
  const code = codeOf(cause) || 'unknown';
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new UserDataError(
    'ERR_USER_DATA_WRITE',
    `${what} ${path} cannot be written: ${full ? 'the disk is full' : code}`,
    {
      hint: full
        ? 'free some space; no file of the user-data was changed'
        : 'the files are written by the user of this program, usually root',
      cause,
    },
  );
}

function unsafe(path: string, what: string): UserDataError {
  return new UserDataError('ERR_USER_DATA_UNSAFE_PATH', `${path} ${what}`, {
    hint: 'nothing was written; move it away',
  });
}
