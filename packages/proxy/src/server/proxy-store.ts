// SPDX-License-Identifier: Apache-2.0
// The directory of a generation: what a proxy was told, so that one that was killed comes up again by itself. What it
// means is decided elsewhere.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  codeOf,
  makeSecretDirectory,
  readSmallFile,
  reasonOf,
  sweepSecretDirectory,
  writeSecretFile,
} from '@peerpod-tls/base';
import type { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import type { Logger } from 'pino';
import { isSandboxId, proxyFiles, type NamedSecurity, type ProxyFiles } from '../control/index.js';
import type { ProxySpec } from '../spec.js';
import { materialIn, materialText, specIn, specText } from './stored.js';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const SUFFIX = '.json';
/** The mark of a proxy that was retired. */
const RETIRED = 'retired';

export interface Stored {
  readonly material: NamedSecurity | null;
  readonly sandboxes: readonly ProxySpec[];
  /** Sandboxes whose StopVM waits for an adaptor. */
  readonly stops: readonly string[];
  readonly retired: boolean;
}

export class ProxyStore {
  readonly files: ProxyFiles;
  readonly #directory: string;
  readonly #log: Logger;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.files = proxyFiles(directory);
    this.#log = log;
  }

  /** @throws FileError when the directory cannot be had */
  async open(): Promise<void> {
    for (const directory of [this.#directory, this.files.sandboxes, this.files.stops]) {
      await makeSecretDirectory(directory);
      await sweepSecretDirectory(directory);
    }
  }

  /** What is there; a file that cannot be read is told of and left where it is. */
  read(): Stored {
    return {
      material: this.#one(this.files.material, materialIn),
      sandboxes: idsIn(this.files.sandboxes).flatMap(id => {
        const spec = this.#one(fileOf(this.files.sandboxes, id), specIn);
        return spec?.sandbox === id ? [spec] : [];
      }),
      stops: idsIn(this.files.stops),
      retired: readdirSync(this.#directory).includes(RETIRED),
    };
  }

  async keepMaterial(material: peerpod.proxy.v1.Material.$Properties): Promise<void> {
    await writeSecretFile(this.files.material, materialText(material));
  }

  async keepSandbox(spec: ProxySpec): Promise<void> {
    await writeSecretFile(fileOf(this.files.sandboxes, spec.sandbox), specText(spec));
  }

  forgetSandbox(sandbox: string): void {
    this.#remove(fileOf(this.files.sandboxes, sandbox));
  }

  /** On disk before it resolves. @throws FileError */
  async keepStop(sandbox: string): Promise<void> {
    await writeSecretFile(
      fileOf(this.files.stops, sandbox),
      `${JSON.stringify({ sandbox, at: new Date().toISOString() })}\n`,
    );
  }

  forgetStop(sandbox: string): void {
    this.#remove(fileOf(this.files.stops, sandbox));
  }

  async keepRetired(): Promise<void> {
    await writeSecretFile(join(this.#directory, RETIRED), '');
  }

  forgetRetired(): void {
    this.#remove(join(this.#directory, RETIRED));
  }

  #one<T>(file: string, parse: (text: string) => T): T | null {
    try {
      return parse(readSmallFile(file, { maxBytes: MAX_FILE_BYTES, noFollow: true }).bytes.toString());
    } catch (error) {
      if (codeOf(error) !== 'ERR_FILE_MISSING')
        this.#log.error(
          { file, code: codeOf(error), reason: withoutText(error) },
          'file of the proxy not usable',
        );
      return null;
    }
  }

  /** What is removed a second time, by a Close after a start, does no harm. */
  #remove(file: string): void {
    try {
      rmSync(file, { force: true });
    } catch (err) {
      this.#log.error({ err, file }, 'file of the proxy not removed');
    }
  }
}

const fileOf = (directory: string, id: string): string => join(directory, `${id}${SUFFIX}`);

function idsIn(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter(name => name.endsWith(SUFFIX))
    .map(name => name.slice(0, -SUFFIX.length))
    .filter(isSandboxId);
}

/** JSON's own errors quote what they could not read, and it may be a key. */
function withoutText(error: unknown): string {
  return error instanceof SyntaxError ? 'it is no JSON' : reasonOf(error);
}
