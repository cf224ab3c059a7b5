// SPDX-License-Identifier: Apache-2.0
// The durable table of sandboxes: one 0600 file each, written whole or not at all. Who writes when is decided elsewhere.
import { readdir, rename, unlink } from 'node:fs/promises';
import path from 'node:path';
import {
  codeOf,
  makeSecretDirectory,
  readSmallFile,
  reasonOf,
  sweepSecretDirectory,
  writeSecretFile,
} from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { parseRecord, renderRecord } from './record.js';
import type { ReadRecord, RecordDefaults } from './schema.js';
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
  async load(defaults: RecordDefaults, now: Date = new Date()): Promise<LoadedSandboxes> {
    const sandboxes: Sandbox[] = [];
    const setAside: { file: string; reason: string }[] = [];
    for (const name of (await readdir(this.#directory)).toSorted()) {
      if (!name.endsWith(SUFFIX) || name.startsWith('.')) continue;
      const file = path.join(this.#directory, name);
      try {
        const { sandbox, repaired } = this.#read(file, name.slice(0, -SUFFIX.length), defaults);
        sandboxes.push(sandbox);
        if (repaired.length > 0)
          this.#log.warn({ file, sandbox: sandbox.id, repaired }, 'sandbox record read with stand-ins');
      } catch (error) {
        setAside.push(await this.#setAside(file, error, now));
      }
    }
    return { sandboxes, setAside };
  }

  #read(file: string, id: string, defaults: RecordDefaults): ReadRecord {
    const { bytes } = readSmallFile(file, { maxBytes: MAX_RECORD_BYTES, noFollow: true });
    const read = parseRecord(bytes.toString('utf8'), id, file, defaults);
    checkSandboxId(id, this.#podsDir);
    return read;
  }

  async #setAside(file: string, error: unknown, now: Date): Promise<{ file: string; reason: string }> {
    const aside = `${file}.corrupt-${now.toISOString().replaceAll(':', '')}`;
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
    this.#log.error({ file, aside, reason }, 'sandbox record set aside');
    return { file: aside, reason };
  }

  #fileOf(id: string): string {
    return path.join(this.#directory, `${id}${SUFFIX}`);
  }
}
