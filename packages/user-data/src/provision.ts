// SPDX-License-Identifier: Apache-2.0
// Once per boot: get the letter, check all of it, write its files. Where it comes from is a source's affair.
import type { Logger } from 'pino';
import { parseApf } from './apf.js';
import { parseCloudConfig, type LetterFile } from './cloud-config.js';
import { UserDataError } from './errors.js';
import { GUEST_PATHS, LETTER_PATHS } from './guest-paths.js';
import type { UserDataSource } from './source.js';
import { writeStaged } from './staged-files.js';

export interface ProvisionOptions {
  readonly source: UserDataSource;
  /** Directory that stands for the guest's `/`. Default `/`. */
  readonly root?: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** How long the letter may take to come, in milliseconds. */
  readonly timeoutMs: number;
}

export interface ProvisionReport {
  /** Paths in the guest, in the order in which they appeared. */
  readonly written: readonly { readonly path: string; readonly bytes: number }[];
  /** Paths that a letter may not write, left out. */
  readonly skipped: readonly string[];
  /** From the first look for the letter to the last file, in milliseconds. */
  readonly ms: number;
}

/**
 * Waits for the letter, and writes those of its files that are on the list of {@link LETTER_PATHS}. Either all of them
 * are written or, whatever is wrong with any, none.
 *
 * @throws UserDataError; `ERR_USER_DATA_TIMEOUT` when nothing came in time. The signal's reason when it aborts.
 */
export async function provisionFiles(options: ProvisionOptions): Promise<ProvisionReport> {
  const { log, source, timeoutMs } = options;
  const begin = performance.now();
  log.debug({ source: source.describe, timeoutMs }, 'user-data awaited');
  const bytes = await readInTime(source, options.signal, timeoutMs);
  const letter = parseCloudConfig(decode(bytes));
  const files = inOrder(letter.filter(file => LETTER_PATHS.includes(file.path)));
  const skipped = letter.map(file => file.path).filter(path => !LETTER_PATHS.includes(path));
  checkApf(files, log);
  for (const path of skipped)
    log.warn({ path: path.slice(0, 200) }, 'file left out, a letter may not write it');

  options.signal.throwIfAborted();
  await writeStaged(options.root ?? '/', files);
  const report: ProvisionReport = {
    written: files.map(file => ({ path: file.path, bytes: Buffer.byteLength(file.content) })),
    skipped,
    ms: Math.round(performance.now() - begin),
  };
  log.info({ source: source.describe, ...report }, 'files written');
  return report;
}

async function readInTime(
  source: UserDataSource,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<Uint8Array> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  try {
    return await source.read(AbortSignal.any([signal, deadline.signal]));
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (!deadline.signal.aborted || cause instanceof UserDataError) throw cause;
    throw new UserDataError(
      'ERR_USER_DATA_TIMEOUT',
      `no user-data came from ${source.describe} within ${timeoutMs / 1000} s`,
      {
        hint: 'check that the provider handed it over; -user-data-fetch-timeout allows more time',
      },
    );
  } finally {
    clearTimeout(timer);
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserDataError('ERR_USER_DATA_FORMAT', 'the user-data is not UTF-8 text', {
      hint: 'the source may hand it out compressed or encoded',
    });
  }
}

/** The attestation agent's configuration goes last: its appearance starts the units that read the others. */
function inOrder(files: readonly LetterFile[]): readonly LetterFile[] {
  return [
    ...files.filter(file => file.path !== GUEST_PATHS.aa),
    ...files.filter(file => file.path === GUEST_PATHS.aa),
  ];
}

/** A letter cut on the way can still be YAML. Its JSON then is not, which is better known now than by the forwarder. */
function checkApf(files: readonly LetterFile[], log: Logger): void {
  const apf = files.find(file => file.path === GUEST_PATHS.apf);
  if (apf === undefined) {
    log.warn({ path: GUEST_PATHS.apf }, 'letter without forwarder configuration');
    return;
  }
  const { unknownKeys, trailingBytes } = parseApf(apf.content);
  if (unknownKeys.length > 0)
    log.warn({ keys: unknownKeys.slice(0, 20) }, 'unknown keys in the forwarder configuration');
  if (trailingBytes > 0) log.warn({ trailingBytes }, 'text after the forwarder configuration');
}
