// SPDX-License-Identifier: Apache-2.0
// The durable table of sandboxes: one 0600 file each, written whole or not at all. Who writes when is decided elsewhere.
import { lstat, readFile, readdir, rename, unlink } from 'node:fs/promises';
import path from 'node:path';
import {
  codeOf,
  makeSecretDirectory,
  reasonOf,
  sweepSecretDirectory,
  writeSecretFile,
} from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { parseRecord, renderRecord } from './record.js';
import { checkSandboxId } from '../sandbox-id.js';
import type { Sandbox } from '../sandbox.js';

/** A record is a few kilobytes; initdata may add some hundred. */
const MAX_RECORD_BYTES = 8 * 1024 * 1024;
const SUFFIX = '.json';

export interface LoadedSandboxes {
  readonly sandboxes: readonly Sandbox[];
  /** Files that could not be used, as they are called now; none was deleted. */
  readonly setAside: readonly { readonly file: string; readonly reason: string }[];
}

export class SandboxStore {
  readonly #directory: string;
  readonly #podsDir: string;
  readonly #log: Logger;

  constructor(stateDir: string, podsDir: string, log: Logger) {
    this.#directory = path.join(stateDir, 'sandboxes');
    this.#podsDir = podsDir;
    this.#log = log;
  }

  async open(): Promise<void> {
    await makeSecretDirectory(this.#directory);
    await sweepSecretDirectory(this.#directory);
  }

  async save(sandbox: Sandbox): Promise<void> {
    await writeSecretFile(this.#fileOf(sandbox.id), renderRecord(sandbox));
  }

  async remove(id: string): Promise<void> {
    await unlink(this.#fileOf(id)).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
    });
  }

  /** Reads every record. What cannot be read is moved aside under a name that says so, and the rest loads. */
  async load(now: Date = new Date()): Promise<LoadedSandboxes> {
    const sandboxes: Sandbox[] = [];
    const setAside: { file: string; reason: string }[] = [];
    for (const name of (await readdir(this.#directory)).toSorted()) {
      if (!name.endsWith(SUFFIX) || name.startsWith('.')) continue;
      const file = path.join(this.#directory, name);
      try {
        sandboxes.push(await this.#read(file, name.slice(0, -SUFFIX.length)));
      } catch (error) {
        setAside.push(await this.#setAside(file, error, now));
      }
    }
    return { sandboxes, setAside };
  }

  async #read(file: string, id: string): Promise<Sandbox> {
    const stat = await lstat(file);
    if (!stat.isFile()) throw new Error(`${file} is no regular file`);
    if (stat.size > MAX_RECORD_BYTES)
      throw new Error(`${file} has ${stat.size} bytes, at most ${MAX_RECORD_BYTES} are read`);
    const sandbox = parseRecord(await readFile(file, 'utf8'), file);
    if (sandbox.id !== id)
      throw new Error(`${file} speaks of sandbox ${JSON.stringify(sandbox.id)}, not of its own`);
    checkSandboxId(sandbox.id, this.#podsDir);
    return sandbox;
  }

  async #setAside(file: string, error: unknown, now: Date): Promise<{ file: string; reason: string }> {
    const kind = codeOf(error) === 'ERR_ADAPTOR_STATE_NEWER' ? 'newer' : 'corrupt';
    const aside = `${file}.${kind}-${now.toISOString().replaceAll(':', '')}`;
    const reason = reasonOf(error);
    try {
      await rename(file, aside);
    } catch (cause) {
      this.#log.error(
        { file, reason, rename: reasonOf(cause) },
        'sandbox record unusable and not moved aside',
      );
      return { file, reason };
    }
    this.#log.error({ file, aside, reason, kind }, 'sandbox record set aside');
    return { file: aside, reason };
  }

  #fileOf(id: string): string {
    return path.join(this.#directory, `${id}${SUFFIX}`);
  }
}
