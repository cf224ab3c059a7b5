// SPDX-License-Identifier: Apache-2.0
// One directory per VM of this machine, and the record that finds the VM again after the adaptor restarted. No process
// is started or ended here.
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf, writeSecretFile } from '@peerpod-tls/base';
import { checkShape } from '@peerpod-tls/base/schema';
import * as v from 'valibot';
import { ProviderError } from '../errors.js';
import type { Instance } from '../provider.js';
import { checkDataDir, ownerName } from './data-dir.js';
import { processId } from './vm-processes.js';

const RECORD_VERSION = 1;
const ID = /^[0-9a-f]{12}$/;
/** `sun_path` has 108 bytes with its final NUL. */
const SOCKET_PATH_BYTES = 107;

/** What is kept of a VM. Holds no secret; what is not known here is kept. */
const vmRecord = v.looseObject({
  version: v.literal(RECORD_VERSION),
  id: v.string(),
  name: v.string(),
  token: v.string(),
  sandbox: v.string(),
  address: v.string(),
  created: v.string(),
  /** The process that leads the VM; null until it was started. */
  leader: v.nullable(processId),
});
export type VmRecord = Readonly<v.InferOutput<typeof vmRecord>>;

/** The places of one VM. `guest` stands for its file system. */
export interface VmPaths {
  readonly directory: string;
  readonly record: string;
  readonly boot: string;
  readonly console: string;
  readonly guest: string;
  readonly seed: string;
  readonly config: string;
  readonly agentSocket: string;
}

/**
 * Checks where VMs may be kept: what `checkDataDir` says, and short enough for the sockets of one.
 *
 * @throws ProviderError ERR_PROVIDER_CONFIG naming `-data-dir`
 */
export function checkVmDataDir(dataDir: string, podsDir: string): string {
  const real = checkDataDir(dataDir, podsDir);
  const longest = Buffer.byteLength(pathsOf(join(real, ownerName(podsDir)), '0'.repeat(12)).agentSocket);
  if (longest > SOCKET_PATH_BYTES) {
    throw new ProviderError(
      'ERR_PROVIDER_CONFIG',
      `-data-dir ${dataDir} is ${longest - SOCKET_PATH_BYTES} bytes too long: the agent's Unix socket in it would pass ${SOCKET_PATH_BYTES}`,
      { hint: 'give a shorter -data-dir' },
    );
  }
  return real;
}

/** The id of the VM that a token asks for. */
export function idOfToken(token: string): string {
  return digest(token, 12);
}

export function isId(id: string): boolean {
  return ID.test(id);
}

export function pathsOf(home: string, id: string): VmPaths {
  const directory = join(home, id);
  const guest = join(directory, 'fs');
  return {
    directory,
    record: join(directory, 'vm.json'),
    boot: join(directory, 'boot.json'),
    console: join(directory, 'console.log'),
    guest,
    seed: join(guest, 'media/cidata/user-data'),
    config: join(guest, 'run/peerpod/apf.json'),
    agentSocket: join(guest, 'run/kata-containers/agent.sock'),
  };
}

export async function writeRecord(paths: VmPaths, record: VmRecord): Promise<void> {
  await writeSecretFile(paths.record, `${JSON.stringify(record)}\n`);
}

/** The record of a VM; null when there is none, or one that cannot be trusted: such a VM can only be deleted. */
export async function readRecord(paths: VmPaths): Promise<VmRecord | null> {
  try {
    const checked = checkShape(vmRecord, JSON.parse(await readFile(paths.record, 'utf8')));
    return checked.t === 'value' && checked.value.id === basename(paths.directory) ? checked.value : null;
  } catch {
    return null;
  }
}

/** The VMs below `home`, those that are half made or half deleted included: without a record, by their id alone. */
export async function instancesIn(home: string): Promise<readonly Instance[]> {
  const names = await readdir(home).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  const ids = names.filter(isId).sort();
  return Promise.all(
    ids.map(async id => {
      const record = await readRecord(pathsOf(home, id));
      return record === null ? { id, name: id, addresses: [] } : instanceOf(record);
    }),
  );
}

export function instanceOf({ id, name, address, token }: VmRecord): Instance {
  return { id, name, addresses: address === '' ? [] : [address], token };
}

/** Makes a VM's directory and the mount points of its guest, all 0700. The directory must not exist yet. */
export async function makeVmDirectory(paths: VmPaths): Promise<void> {
  await mkdir(paths.directory, { mode: 0o700 });
  for (const path of [
    paths.guest,
    dirname(dirname(paths.seed)),
    dirname(paths.seed),
    join(paths.guest, 'run'),
  ]) {
    await mkdir(path, { mode: 0o700 });
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function digest(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}
