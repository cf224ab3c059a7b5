// SPDX-License-Identifier: Apache-2.0
// A file, or a NoCloud seed directory. Providers with seed disks, mounts and uploads put the user-data there.
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, sleep } from '@peerpod-tls/base';
import { MAX_USER_DATA_BYTES } from '../../cloud-config.js';
import { UserDataError } from '../../errors.js';
import type { UserDataSource } from './source.js';

export interface FileSourceOptions {
  /**
   * For how long the file must not have changed before it is read, in milliseconds. An upload makes the file first and
   * fills it afterwards. Default 0: whoever puts the file there does it in one step.
   */
  readonly settledMs?: number;
}

const POLL_MS = 100;

/**
 * A file, or a NoCloud seed directory with the file `user-data` in it. Waits while there is none, or an empty one.
 * Rejects with `ERR_USER_DATA_SOURCE` when it cannot be read, `ERR_USER_DATA_TOO_LARGE`.
 */
export function fileSource(path: string, options: FileSourceOptions = {}): UserDataSource {
  return {
    describe: `the file ${path}`,
    async read(signal) {
      for (;;) {
        signal.throwIfAborted();
        const bytes = await attempt(path, options.settledMs ?? 0);
        if (bytes !== null) return bytes;
        await sleep(POLL_MS, signal);
      }
    },
  };
}

/** The bytes, or null when the file is not there yet or may still change. */
async function attempt(path: string, settledMs: number): Promise<Uint8Array | null> {
  try {
    const found = await stat(path);
    return found.isDirectory()
      ? await readSettled(join(path, 'user-data'), settledMs)
      : await readSettled(path, settledMs);
  } catch (cause) {
    if (cause instanceof UserDataError) throw cause;
    const code = codeOf(cause) || 'unknown';
    // The directory it will be in may not be mounted yet, either.
    if (code === 'ENOENT') return null;
    throw new UserDataError('ERR_USER_DATA_SOURCE', `cannot read ${path} (${code})`, {
      hint: 'the user-data is read by the user of this program, usually root',
      cause,
    });
  }
}

async function readSettled(path: string, settledMs: number): Promise<Uint8Array | null> {
  // Non-blocking, so that a FIFO is recognised instead of waited for.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const before = await handle.stat();
    if (!before.isFile()) throw new UserDataError('ERR_USER_DATA_SOURCE', `${path} is not a regular file`);
    if (before.size > MAX_USER_DATA_BYTES) {
      throw new UserDataError(
        'ERR_USER_DATA_TOO_LARGE',
        `${path} has ${before.size} bytes, ${MAX_USER_DATA_BYTES} are allowed`,
      );
    }
    const age = Date.now() - before.mtimeMs;
    if (before.size === 0 || (age >= 0 && age < settledMs)) return null;
    const bytes = await handle.readFile();
    const after = await handle.stat();
    return bytes.length === before.size && after.size === before.size && after.mtimeMs === before.mtimeMs
      ? bytes
      : null;
  } finally {
    await handle.close();
  }
}
