// SPDX-License-Identifier: Apache-2.0
// What a daemon is secured by while it runs, kept current: read again when its files change or when told to. New links
// get the new material, open ones keep theirs, and material that does not pass never replaces material that did. One
// way for both daemons; which files these are is the source's affair (client-files.ts, serving.ts).
import { createHash } from 'node:crypto';
import { watch, type FSWatcher } from 'node:fs';
import path from 'node:path';
import { codeOf, hintOf, readSmallFile, reasonOf } from '@peerpod-tls/base';
import { describeMaterial } from '@peerpod-tls/certs';
import { proveMaterial } from '@peerpod-tls/link';
import type { Logger } from 'pino';
import { daysUntil } from './days.js';
import { TrustError } from './errors.js';
import type { InForce, MaterialSource } from './in-force.js';

export interface LiveMaterialOptions<T extends InForce> {
  readonly source: MaterialSource<T>;
  readonly log: Logger;
  /** How long the files must be quiet before they are read, in milliseconds. Default 200: a rotation writes several. */
  readonly settleMs?: number;
  /** How often the files are compared without any event, in milliseconds. Default 60 000: some mounts send none. */
  readonly pollMs?: number;
  /** Called after each attempt to put other material in force. */
  readonly onReload?: (ok: boolean) => void;
}

/** Why the last attempt to put other material in force failed. */
export interface ReloadTrouble {
  readonly at: Date;
  readonly reason: string;
}

/** Certificates and keys are kilobytes; what is bigger is refused when it is read. */
const MAX_FILE_BYTES = 1024 * 1024;

export class LiveMaterial<T extends InForce = InForce> {
  readonly #o: LiveMaterialOptions<T>;
  #current: T;
  #trouble: ReloadTrouble | null = null;
  /** Contents the current decision was made on, good or bad. */
  #seen: string;
  #watchers: FSWatcher[] = [];
  #settle: NodeJS.Timeout | null = null;
  #poll: NodeJS.Timeout | null = null;
  /** One look at a time, in the order they were asked for. */
  #looks: Promise<void> = Promise.resolve();

  private constructor(o: LiveMaterialOptions<T>, current: T, seen: string) {
    this.#o = o;
    this.#current = current;
    this.#seen = seen;
  }

  /** Reads, checks and proves; throws the error that names the file and its flag. */
  static async open<T extends InForce>(o: LiveMaterialOptions<T>): Promise<LiveMaterial<T>> {
    // Looked at before they are read: a change in between is then found again rather than missed.
    const seen = digestOf(o.source.files);
    const first = await prepared(o);
    for (const note of first.notes) o.log.warn(note.fields, note.text);
    return new LiveMaterial(o, first, seen);
  }

  get current(): T {
    return this.#current;
  }

  /** Null while what is in force is what the files say. */
  get trouble(): ReloadTrouble | null {
    return this.#trouble;
  }

  /** Begins to watch. Directories are watched, since a rotation replaces the files, or a link beside them. */
  watch(): void {
    const { log, source, pollMs } = this.#o;
    for (const directory of new Set(source.files.map(file => path.dirname(path.resolve(file))))) {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#touched());
        watcher.on('error', err => log.warn({ err, directory }, 'certificate directory no longer watched'));
        this.#watchers.push(watcher);
      } catch (err) {
        log.warn({ err, directory }, 'certificate directory not watched, compared every minute only');
      }
    }
    this.#poll = setInterval(() => void this.check(), pollMs ?? 60_000).unref();
  }

  #touched(): void {
    if (this.#settle !== null) clearTimeout(this.#settle);
    this.#settle = setTimeout(() => void this.check(), this.#o.settleMs ?? 200).unref();
  }

  /** Reads the files if they changed since the last look. Never rejects. */
  check(): Promise<void> {
    return this.#inTurn(async () => {
      const found = digestOf(this.#o.source.files);
      if (found !== this.#seen) await this.#replace(found).catch(() => {});
      else if (this.#trouble !== null) await this.#retry();
    });
  }

  /** Reads the files now, changed or not. Rejects when they are bad; the old material is then still in force. */
  reload(): Promise<void> {
    return this.#inTurn(() => this.#replace(digestOf(this.#o.source.files)));
  }

  #inTurn(look: () => Promise<void>): Promise<void> {
    const done = this.#looks.then(look);
    this.#looks = done.catch(() => {});
    return done;
  }

  /** The same bad files are complained about once; what was only early, such as a certificate of tomorrow, passes later. */
  async #retry(): Promise<void> {
    const again = await prepared(this.#o).catch(() => null);
    if (again !== null) await this.#replace(this.#seen).catch(() => {});
  }

  async #replace(found: string): Promise<void> {
    const { log, onReload } = this.#o;
    this.#seen = found;
    try {
      const next = await prepared(this.#o);
      for (const note of next.notes) log.warn(note.fields, note.text);
      log.info(
        { material: describeMaterial(next.material), days: daysUntil(next.material.expiresAt) },
        'certificates reloaded',
      );
      onReload?.(true);
      this.#trouble = null;
      // Last, and it cannot fail: whatever went wrong before left the old in force.
      this.#current = next;
    } catch (cause) {
      const { expiresAt } = this.#current.material;
      const reason = reasonOf(cause);
      this.#trouble = { at: new Date(), reason };
      log.error(
        { err: cause, reason, currentUntil: expiresAt, currentDays: daysUntil(expiresAt) },
        'certificates not reloaded, the old ones stay in force',
      );
      onReload?.(false);
      throw new TrustError(
        'ERR_TRUST_NOT_RELOADED',
        `the certificates in force stay, with ${daysUntil(expiresAt)} days left: ${reason}`,
        { hint: hintOf(cause), cause },
      );
    }
  }

  async close(): Promise<void> {
    if (this.#settle !== null) clearTimeout(this.#settle);
    if (this.#poll !== null) clearInterval(this.#poll);
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    await this.#looks;
  }
}

/** What the files say, read, parsed, checked and proved; nothing is in force by it. */
async function prepared<T extends InForce>({ source }: LiveMaterialOptions<T>): Promise<T> {
  const next = source.read();
  await proveMaterial(next.material, next.profile);
  return next;
}

/** What the files hold, as a digest for comparing; a file that cannot be read counts by its error. */
function digestOf(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    try {
      const { bytes } = readSmallFile(file, { maxBytes: MAX_FILE_BYTES });
      hash.update(`\n${bytes.length}:`).update(bytes);
    } catch (error) {
      hash.update(`\n${codeOf(error)}`);
    }
  }
  return hash.digest('base64');
}
