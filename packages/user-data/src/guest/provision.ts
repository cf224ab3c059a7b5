// SPDX-License-Identifier: Apache-2.0
// Once per boot: get the user-data, check all of it and the initdata with it, write the files. Where user-data comes from is a
// source's affair, what is in initdata is initdata's.
import type { Logger } from 'pino';
import { parseApf } from '../apf.js';
import { awaitUserData, decodeText } from './await-user-data.js';
import { parseCloudConfig, type UserDataFile } from '../cloud-config.js';
import { UserDataError } from '../errors.js';
import { GUEST_PATHS, USER_DATA_PATHS } from '../guest-paths.js';
import { initdataFiles, type InitdataFiles } from '../initdata-files.js';
import type { UserDataSource } from './sources/source.js';
import { readStaged, writeStaged } from './staged-files.js';

export interface ProvisionOptions {
  /** Null where something else, like cloud-init, has written the user-data's files; then initdata alone is handled. */
  readonly source: UserDataSource | null;
  /** Directory that stands for the guest's `/`. Default `/`. */
  readonly root?: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** How long the user-data may take to come, in milliseconds. */
  readonly timeoutMs: number;
}

export interface ProvisionReport {
  /** Paths in the guest, in the order in which they appeared. */
  readonly written: readonly { readonly path: string; readonly bytes: number }[];
  /** Paths that user-data may not write, left out. */
  readonly skipped: readonly string[];
  /** The hash of the initdata in lowercase hex, also of the empty one that stands in for none. */
  readonly digest: string;
  /** From the first look for the user-data to the last file, in milliseconds. */
  readonly ms: number;
}

/**
 * Waits for the user-data, and writes those of its files that are on the list of {@link USER_DATA_PATHS}, the initdata's
 * entries that are on the list of {@link INITDATA_PATHS}, and its digest. Either all of them are written or, whatever is
 * wrong with any, none. Where both bring a file, the initdata's is written: it is the one that is measured.
 *
 * Without initdata in the user-data the one that is there is taken, and without that the empty one.
 *
 * @throws UserDataError; `ERR_USER_DATA_TIMEOUT` when nothing came in time. The signal's reason when it aborts.
 */
export async function provisionFiles(options: ProvisionOptions): Promise<ProvisionReport> {
  const { log, source, timeoutMs, root = '/' } = options;
  const begin = performance.now();
  log.debug({ source: source?.describe ?? 'none', timeoutMs }, 'user-data awaited');
  const userData = source === null ? [] : parseCloudConfig(decodeText(await awaitUserData(source, options)));
  const files = new Map(
    userData.filter(file => USER_DATA_PATHS.includes(file.path)).map(file => [file.path, file.content]),
  );
  const skipped = userData.map(file => file.path).filter(path => !USER_DATA_PATHS.includes(path));
  if (source !== null) checkApf(files.get(GUEST_PATHS.apf), log);
  checkAuth(files.get(GUEST_PATHS.auth) ?? '');
  for (const path of skipped)
    log.warn({ path: path.slice(0, 200) }, 'file left out, user-data may not write it');

  const held = async (path: string): Promise<string | null> =>
    files.get(path) ?? (await readStaged(root, path));
  const found = initdataFiles(await held(GUEST_PATHS.initdata));
  // The empty one only stands in: what somebody did write is not emptied by it.
  const keepAa = found.standIn && (await held(GUEST_PATHS.aa)) !== null;
  for (const { path, content } of found.files) {
    if (path === GUEST_PATHS.aa && keepAa) continue;
    if (path !== GUEST_PATHS.initdata && files.has(path))
      log.warn({ path }, 'file of the user-data replaced by that of the initdata');
    files.set(path, content);
  }
  reportInitdata(found, log);

  options.signal.throwIfAborted();
  const ordered = inOrder(files);
  await writeStaged(root, ordered);
  const report: ProvisionReport = {
    written: ordered.map(file => ({ path: file.path, bytes: Buffer.byteLength(file.content) })),
    skipped,
    digest: found.initdata.digest,
    ms: Math.round(performance.now() - begin),
  };
  log.info({ source: source?.describe ?? 'none', ...report }, 'files written');
  return report;
}

function reportInitdata(found: InitdataFiles, log: Logger): void {
  const { initdata, standIn, unknownEntries, withoutAa } = found;
  if (withoutAa) log.warn({ path: GUEST_PATHS.aa }, 'initdata without aa.toml, an empty one was added');
  if (unknownEntries.length > 0)
    log.warn(
      { entries: unknownEntries.slice(0, 20).map(name => name.slice(0, 200)) },
      'entries of the initdata left out, no guest takes them',
    );
  if (initdata.unknownKeys.length > 0)
    log.warn({ keys: initdata.unknownKeys.slice(0, 20) }, 'unknown keys in the initdata');
  if (!standIn) log.info({ algorithm: initdata.algorithm, digest: initdata.digest }, 'initdata measured');
}

/** The attestation agent's configuration goes last: its appearance starts the units that read the others. */
function inOrder(files: ReadonlyMap<string, string>): readonly UserDataFile[] {
  const list = [...files].map(([path, content]) => ({ path, content }));
  return [
    ...list.filter(file => file.path !== GUEST_PATHS.aa),
    ...list.filter(file => file.path === GUEST_PATHS.aa),
  ];
}

/** User-data cut on the way can still be YAML. Its JSON then is not, which is better known now than by the forwarder. */
function checkApf(content: string | undefined, log: Logger): void {
  if (content === undefined) {
    log.warn({ path: GUEST_PATHS.apf }, 'user-data without forwarder configuration');
    return;
  }
  const { unknownKeys, trailingBytes } = parseApf(content);
  if (unknownKeys.length > 0)
    log.warn({ keys: unknownKeys.slice(0, 20) }, 'unknown keys in the forwarder configuration');
  if (trailingBytes > 0) log.warn({ trailingBytes }, 'text after the forwarder configuration');
}

/** Credentials cut on the way would otherwise show as a registry that lets nobody in. Empty ones are an image's own. */
function checkAuth(content: string): void {
  if (content.trim() === '') return;
  try {
    JSON.parse(content);
  } catch {
    throw new UserDataError('ERR_USER_DATA_AUTH', `${GUEST_PATHS.auth} in the user-data is not JSON`, {
      hint: 'the user-data may have been cut on the way',
    });
  }
}
