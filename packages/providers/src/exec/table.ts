// SPDX-License-Identifier: Apache-2.0
// What the adaptor remembers of instances that scripts made: one file each, named after the token. No secret is in it.
import { createHash } from 'node:crypto';
import { readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, sweepSecretDirectory, writeSecretFile } from '@peerpod-tls/base';
import { checkShape } from '@peerpod-tls/base/schema';
import type { Logger } from 'pino';
import * as v from 'valibot';
import { makeHome } from '../host/data-dir.js';
import { fullDiskOr } from '../host/free-space.js';
import { processId } from '../host/vm-processes.js';
import type { Instance } from '../provider.js';

const RECORD_VERSION = 1;
const KEY = /^[0-9a-f]{24}$/;
/** Begins the id of an instance whose own id is not known, because its creation was cut short. */
const UNFINISHED = 'unfinished:';

/** What is not known here is kept. */
const execRecord = v.looseObject({
  version: v.literal(RECORD_VERSION),
  token: v.string(),
  sandbox: v.string(),
  /** The name that was asked for. */
  asked: v.string(),
  begun: v.string(),
  /** `creating` until the create command has answered well; what is left then is to be deleted, never to be used. */
  state: v.picklist(['creating', 'created']),
  /** The create command while it runs; null before and after. */
  command: v.nullable(processId),
  /** As the script told; the id is empty while it has not. */
  id: v.string(),
  name: v.string(),
  addresses: v.pipe(v.array(v.string()), v.readonly()),
});
export type ExecRecord = Readonly<v.InferOutput<typeof execRecord>>;

export function keyOf(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 24);
}

/** An instance as the adaptor sees it. One without an id of its own gets one made of its key, to be deleted by. */
export function instanceOf(record: ExecRecord): Instance {
  const { token, addresses } = record;
  return {
    id: record.id === '' ? `${UNFINISHED}${keyOf(token)}` : record.id,
    name: record.name === '' ? record.asked : record.name,
    addresses: record.state === 'created' ? addresses : [],
    token,
  };
}

/** Whether an id is one of those `instanceOf` makes up; no script may give such a one. */
export function isUnfinishedId(id: string): boolean {
  return id.startsWith(UNFINISHED);
}

export class ExecTable {
  readonly #dataDir: string;
  readonly #home: string;
  readonly #log: Logger;

  /** @param home Directory of this adaptor's own, in the data directory; made when it is needed. */
  constructor(dataDir: string, home: string, log: Logger) {
    this.#dataDir = dataDir;
    this.#home = home;
    this.#log = log;
  }

  /** Makes the directory and clears away what killed writers left. @throws ProviderError */
  async open(): Promise<void> {
    await makeHome(this.#dataDir, this.#home);
    await sweepSecretDirectory(this.#home);
  }

  /** @throws ProviderError ERR_PROVIDER_DISK_FULL; FileError */
  async put(record: ExecRecord): Promise<void> {
    try {
      await writeSecretFile(this.#path(keyOf(record.token)), `${JSON.stringify(record)}\n`);
    } catch (error) {
      throw await fullDiskOr(this.#dataDir, error);
    }
  }

  async get(token: string): Promise<ExecRecord | null> {
    return this.#read(keyOf(token));
  }

  /** By the id an `Instance` of it has. */
  async byId(id: string): Promise<ExecRecord | null> {
    return (await this.all()).find(record => instanceOf(record).id === id) ?? null;
  }

  async all(): Promise<readonly ExecRecord[]> {
    const names = await readdir(this.#home).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    });
    const keys = names.flatMap(name => {
      const key = name.endsWith('.json') ? name.slice(0, -5) : '';
      return KEY.test(key) ? [key] : [];
    });
    const records = await Promise.all(keys.sort().map(key => this.#read(key)));
    return records.filter(record => record !== null);
  }

  async remove(record: ExecRecord): Promise<void> {
    await rm(this.#path(keyOf(record.token)), { force: true });
  }

  async #read(key: string): Promise<ExecRecord | null> {
    const path = this.#path(key);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
    const record = parseRecord(text, key);
    if (record !== null) return record;
    const aside = `${path}.unreadable-${Date.now()}`;
    await rename(path, aside).catch(() => undefined);
    this.#log.error({ file: aside }, 'instance record set aside');
    return null;
  }

  #path(key: string): string {
    return join(this.#home, `${key}.json`);
  }
}

function parseRecord(text: string, key: string): ExecRecord | null {
  try {
    const checked = checkShape(execRecord, JSON.parse(text));
    return checked.t === 'value' && keyOf(checked.value.token) === key ? checked.value : null;
  } catch {
    return null;
  }
}
