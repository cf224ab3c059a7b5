// SPDX-License-Identifier: Apache-2.0
// Where local pod VMs live on disk: the data directory, one directory per VM, and the record that finds a VM again
// after the adaptor restarted. No process is started or ended here.
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

import { makeSecretDirectory, writeSecretFile } from '@peerpod-tls/base';

import { ProviderError } from '../errors.js';
import type { ProcessId } from './vm-processes.js';
import { fullDiskOr } from './free-space.js';

const RECORD_VERSION = 1;
const ID = /^[0-9a-f]{12}$/;
/** `sun_path` has 108 bytes with its final NUL. */
const SOCKET_PATH_BYTES = 107;

/** What is kept of a VM. Holds no secret. */
export interface VmRecord {
  readonly version: typeof RECORD_VERSION;
  readonly id: string;
  readonly name: string;
  readonly token: string;
  readonly sandbox: string;
  readonly address: string;
  readonly created: string;
  /** The process that leads the VM; null until it was started. */
  readonly leader: ProcessId | null;
}

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

/** `/run/peerpod-local` for root, else below XDG_RUNTIME_DIR, else a directory of the user's own in the temporary one. */
export function defaultDataDir(env: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return '/run/peerpod-local';
  const runtime = env['XDG_RUNTIME_DIR'] ?? '';
  return runtime.startsWith('/') ? join(runtime, 'peerpod-local') : join(tmpdir(), `peerpod-${uid}`);
}

/**
 * Checks where the VMs may be kept: absolute, not under the pods directory (which other programs read and clean), and
 * short enough for the agent's socket in it.
 *
 * @throws ProviderError ERR_PROVIDER_CONFIG naming `-data-dir`
 */
export function checkDataDir(dataDir: string, podsDir: string): string {
  const real = realOf(resolve(dataDir));
  const pods = realOf(resolve(podsDir));
  if (!dataDir.startsWith('/')) {
    throw new ProviderError(
      'ERR_PROVIDER_CONFIG',
      `-data-dir is ${JSON.stringify(dataDir)}, not an absolute path`,
      {
        hint: 'leave it out for the default',
      },
    );
  }
  if (real === pods || real.startsWith(`${pods}/`)) {
    throw new ProviderError(
      'ERR_PROVIDER_CONFIG',
      `-data-dir ${dataDir} lies in the pods directory ${podsDir}`,
      {
        hint: 'pod VMs hold private keys and are no pods of the shim: keep them elsewhere, or leave -data-dir out',
      },
    );
  }
  const longest = Buffer.byteLength(pathsOf(join(real, ownerName(pods)), '0'.repeat(12)).agentSocket);
  if (longest > SOCKET_PATH_BYTES) {
    throw new ProviderError(
      'ERR_PROVIDER_CONFIG',
      `-data-dir ${dataDir} is ${longest - SOCKET_PATH_BYTES} bytes too long: the agent's Unix socket in it would pass ${SOCKET_PATH_BYTES}`,
      { hint: 'give a shorter -data-dir' },
    );
  }
  return real;
}

/** Name of the directory for the VMs of one adaptor, told by its pods directory: two adaptors may share a data directory. */
export function ownerName(podsDir: string): string {
  return digest(realOf(resolve(podsDir)), 8);
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
    const value: unknown = JSON.parse(await readFile(paths.record, 'utf8'));
    return isRecord(value) && value.id === basename(paths.directory) ? value : null;
  } catch {
    return null;
  }
}

/** Ids of the VMs below `home`, those that are half made or half deleted included. */
export async function idsIn(home: string): Promise<string[]> {
  const names = await readdir(home).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter(isId).sort();
}

/**
 * Makes the data directory and, in it, the home of one adaptor's VMs.
 *
 * @throws ProviderError ERR_PROVIDER_DISK_FULL; CertError when one of them is no directory of ours
 */
export async function makeHome(dataDir: string, home: string): Promise<void> {
  try {
    await makeSecretDirectory(dataDir);
    await makeSecretDirectory(home);
  } catch (error) {
    throw await fullDiskOr(dataDir, error);
  }
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

function isRecord(value: unknown): value is VmRecord {
  if (typeof value !== 'object' || value === null) return false;
  const at = (key: string): unknown => Object.getOwnPropertyDescriptor(value, key)?.value;
  const leader = at('leader');
  return (
    at('version') === RECORD_VERSION &&
    ['id', 'name', 'token', 'sandbox', 'address', 'created'].every(key => typeof at(key) === 'string') &&
    (leader === null || isProcessId(leader))
  );
}

function isProcessId(value: unknown): value is ProcessId {
  return (
    typeof value === 'object' &&
    value !== null &&
    'pid' in value &&
    Number.isInteger(value.pid) &&
    'start' in value &&
    typeof value.start === 'string'
  );
}

/** The path with the links of its existing part resolved. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realOf(parent), basename(path));
  }
}

function digest(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
