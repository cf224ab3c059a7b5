// SPDX-License-Identifier: Apache-2.0
// How user-data reaches a container: as a file of the host that is mounted read-only, or copied in before the start.
// Either way nobody but root reads it, and no copy of ours outlives the start.
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf, writeSecretFile } from '@peerpod-tls/base';
import { ProviderError } from '../errors.js';
import { checkHome } from '../host/data-dir.js';
import { fullDiskOr } from '../host/free-space.js';

/** Another way in, for when this one is barred. */
const COPY = '-docker-user-data=copy needs no file on the host';

/** The user-data of one adaptor on this host. A file is there from before a container is made until it has started. */
export class UserDataDirectory {
  readonly #dataDir: string;
  readonly #home: string;
  readonly #inUse = new Set<string>();

  /** `home`: a directory of this adaptor's own, in the data directory. */
  constructor(dataDir: string, home: string) {
    this.#dataDir = dataDir;
    this.#home = home;
  }

  /** Makes the directory, and sees whether it can be written to. @throws ProviderError with what stands in the way */
  check(): Promise<void> {
    return checkHome(this.#dataDir, this.#home);
  }

  /**
   * Writes a file, mode 0600; gives its path.
   * @throws ProviderError ERR_PROVIDER_DISK_FULL, ERR_PROVIDER_UNAVAILABLE
   */
  async write(token: string, userData: string): Promise<string> {
    const path = this.#path(token);
    this.#inUse.add(path);
    try {
      await writeSecretFile(path, userData);
    } catch (cause) {
      await this.remove(token);
      const full = await fullDiskOr(this.#dataDir, cause);
      if (full instanceof ProviderError) {
        throw new ProviderError(full.code, full.message, { hint: `${full.hint}; ${COPY}`, cause });
      }
      throw new ProviderError(
        'ERR_PROVIDER_UNAVAILABLE',
        `the user-data could not be written: ${reasonOf(cause)}`,
        { hint: `choose another -data-dir; ${COPY}`, cause },
      );
    }
    return path;
  }

  /** A container that mounts the file keeps what is in it. */
  async remove(token: string): Promise<void> {
    const path = this.#path(token);
    await rm(path, { force: true });
    this.#inUse.delete(path);
  }

  /** Removes what a crash in the middle of a creation left. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#home).catch((): string[] => []);
    for (const name of names) {
      const path = join(this.#home, name);
      if (!this.#inUse.has(path)) await rm(path, { force: true });
    }
  }

  #path(token: string): string {
    return join(this.#home, `${createHash('sha256').update(token).digest('hex').slice(0, 32)}.user-data`);
  }
}

const BLOCK = 512;

/**
 * A tar archive (POSIX.1-1988 ustar) with one file, `media/cidata/user-data`, readable for root alone; the engine unpacks
 * it into a container before its start and makes the directories. By hand because it is one header: the library for it
 * brings eight packages, native ones among them.
 */
export function userDataArchive(userData: string): Buffer {
  const content = Buffer.from(userData, 'utf8');
  const header = Buffer.alloc(BLOCK);
  // Owner, group and time are 0: root, and the epoch, since nobody asks for it.
  const fields: readonly (readonly [at: number, text: string])[] = [
    [0, 'media/cidata/user-data'],
    [100, '0000400\0'],
    [108, '0000000\0'],
    [116, '0000000\0'],
    [124, `${octal(content.length, 11)}\0`],
    [136, '00000000000\0'],
    // The checksum is taken with blanks in its own place.
    [148, ' '.repeat(8)],
    [156, '0'],
    [257, 'ustar\u000000'],
  ];
  for (const [at, text] of fields) header.write(text, at, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148, 'latin1');
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
  return Buffer.concat([header, content, padding, Buffer.alloc(2 * BLOCK)]);
}

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');
