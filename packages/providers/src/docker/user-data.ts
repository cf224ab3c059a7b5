// SPDX-License-Identifier: Apache-2.0
// How the letter reaches a container: as a file of the host that is mounted read-only, or copied in before the start.
// Either way nobody but root reads it, and no copy of ours outlives the start.
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { makeSecretDirectory, writeSecretFile } from '@peerpod-tls/base';

import { ProviderError } from '../errors.js';

const BLOCK = 512;

/** The letters of one adaptor on this host. A file is there from before a container is made until it has started. */
export class LetterDirectory {
  readonly #home: string;
  readonly #inUse = new Set<string>();

  /** `home`: a directory of this adaptor's own. */
  constructor(home: string) {
    this.#home = home;
  }

  /** Makes the directory; @throws CertError naming what stands in the way. */
  async prepare(): Promise<void> {
    await makeSecretDirectory(this.#home);
  }

  /** Writes a letter, mode 0600; gives its path. */
  async write(token: string, letter: string): Promise<string> {
    const path = this.#path(token);
    this.#inUse.add(path);
    try {
      await writeSecretFile(path, letter);
    } catch (error) {
      await this.remove(token);
      const reason = error instanceof Error ? error.message : String(error);
      throw new ProviderError('ERR_PROVIDER_CREATE', `the user-data could not be written: ${reason}`, {
        hint: 'make room or choose another -data-dir; -docker-user-data=copy needs no file on the host',
        cause: error,
      });
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

/**
 * A tar archive (POSIX.1-1988 ustar) that puts the letter to `media/cidata/user-data`, readable for root alone; the
 * engine unpacks it into a container before its start.
 */
export function letterArchive(letter: string): Buffer {
  const content = Buffer.from(letter, 'utf8');
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
  return Buffer.concat([
    header('media/', { mode: 0o755, size: 0, type: '5' }),
    header('media/cidata/', { mode: 0o700, size: 0, type: '5' }),
    header('media/cidata/user-data', { mode: 0o400, size: content.length, type: '0' }),
    content,
    padding,
    Buffer.alloc(2 * BLOCK),
  ]);
}

/** One ustar header; owner and group are root, and the time is the epoch, since nobody asks for it. */
function header(
  name: string,
  { mode, size, type }: { readonly mode: number; readonly size: number; readonly type: '0' | '5' },
): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number): void => {
    block.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  };
  block.write(name, 0, 'latin1');
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(0, 136, 11);
  block.write(type, 156, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  // The checksum is taken with spaces in its own place.
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
