// SPDX-License-Identifier: Apache-2.0
// The certificates users bring, kept current: read again when their files change or when told to. New links get the new
// material, open ones keep theirs, and material that does not pass its checks never replaces material that did.
import { createHash } from 'node:crypto';
import { watch, type FSWatcher } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, reasonOf } from '@peerpod-tls/base';
import { checkMaterial, describeMaterial, readPem, type TlsMaterial } from '@peerpod-tls/certs';
import type { Logger } from 'pino';

export interface MaterialFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface LiveMaterialOptions {
  readonly files: MaterialFiles;
  readonly log: Logger;
  /** How long the files must be quiet before they are read, in milliseconds. Default 200: a rotation writes several. */
  readonly settleMs?: number;
  /** How often the files are compared without any event, in milliseconds. Default 60 000: some mounts send none. */
  readonly pollMs?: number;
  /** Called after each attempt that found changed files. */
  readonly onReload?: (ok: boolean) => void;
}

const DAY_MS = 86_400_000;
/** Certificates and keys are kilobytes; what is bigger is refused when it is read. */
const MAX_FILE_BYTES = 1024 * 1024;

export class LiveMaterial {
  readonly #o: LiveMaterialOptions;
  #current: TlsMaterial;
  /** Contents the current decision was made on, good or bad: the same bad files are not complained about twice. */
  #seen: string;
  #watchers: FSWatcher[] = [];
  #settle: NodeJS.Timeout | null = null;
  #poll: NodeJS.Timeout | null = null;
  #checking: Promise<void> = Promise.resolve();

  private constructor(o: LiveMaterialOptions, material: TlsMaterial, seen: string) {
    this.#o = o;
    this.#current = material;
    this.#seen = seen;
  }

  /** Reads and checks the files; throws the CertError that names the file and its flag. */
  static async open(o: LiveMaterialOptions): Promise<LiveMaterial> {
    // Looked at before they are read: a change in between is then found again rather than missed.
    const seen = await contents(o.files);
    return new LiveMaterial(o, readMaterial(o.files), seen);
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  /** Begins to watch. Directories are watched, since a rotation replaces the files, or a link beside them. */
  watch(): void {
    const { caFile, certFile, keyFile } = this.#o.files;
    for (const directory of new Set(
      [caFile, certFile, keyFile].map(file => path.dirname(path.resolve(file))),
    )) {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#touched());
        watcher.on('error', err =>
          this.#o.log.warn({ err, directory }, 'certificate directory no longer watched'),
        );
        this.#watchers.push(watcher);
      } catch (err) {
        this.#o.log.warn({ err, directory }, 'certificate directory not watched, compared every minute only');
      }
    }
    this.#poll = setInterval(() => void this.check(), this.#o.pollMs ?? 60_000).unref();
  }

  #touched(): void {
    if (this.#settle !== null) clearTimeout(this.#settle);
    this.#settle = setTimeout(() => void this.check(), this.#o.settleMs ?? 200).unref();
  }

  /** Reads the files if they changed since the last look. One look at a time; never rejects. */
  check(): Promise<void> {
    this.#checking = this.#checking.then(() => this.#look());
    return this.#checking;
  }

  async #look(): Promise<void> {
    const now = await contents(this.#o.files);
    if (now === this.#seen) return;
    this.#seen = now;
    try {
      this.#swap();
      this.#o.onReload?.(true);
    } catch (err) {
      this.#o.log.error(
        { err, reason: reasonOf(err), currentDays: this.#daysLeft() },
        'certificates not reloaded, the old ones stay in force',
      );
      this.#o.onReload?.(false);
    }
  }

  /** Reads the files now, changed or not. Rejects when they are bad; the old material is then still in force. */
  async reload(): Promise<void> {
    await this.#checking;
    this.#seen = await contents(this.#o.files);
    try {
      this.#swap();
      this.#o.onReload?.(true);
    } catch (error) {
      this.#o.onReload?.(false);
      throw error;
    }
  }

  #swap(): void {
    const next = readMaterial(this.#o.files);
    this.#current = next;
    for (const warning of next.warnings) this.#o.log.warn({ warning }, 'certificates have a flaw');
    this.#o.log.info({ material: describeMaterial(next), days: this.#daysLeft() }, 'certificates reloaded');
  }

  #daysLeft(): number {
    return Math.floor((this.#current.expiresAt.getTime() - Date.now()) / DAY_MS);
  }

  async close(): Promise<void> {
    if (this.#settle !== null) clearTimeout(this.#settle);
    if (this.#poll !== null) clearInterval(this.#poll);
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    await this.#checking;
  }
}

function readMaterial({ caFile, certFile, keyFile }: MaterialFiles): TlsMaterial {
  return checkMaterial({
    role: 'client',
    cert: readPem(certFile, '-cert-file'),
    key: readPem(keyFile, '-cert-key'),
    anchors: readPem(caFile, '-ca-cert-file'),
  });
}

/** What the three files hold, as a digest for comparing; a file that cannot be read counts by its error. */
async function contents({ caFile, certFile, keyFile }: MaterialFiles): Promise<string> {
  const parts = await Promise.all([caFile, certFile, keyFile].map(digestOf));
  return parts.join(' ');
}

async function digestOf(file: string): Promise<string> {
  try {
    const found = await stat(file);
    if (!found.isFile() || found.size > MAX_FILE_BYTES) return `odd:${found.mode}:${found.size}`;
    return createHash('sha256')
      .update(await readFile(file))
      .digest('base64');
  } catch (error) {
    return `error:${codeOf(error)}`;
  }
}
