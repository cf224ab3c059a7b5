// SPDX-License-Identifier: Apache-2.0
// The flags of the provider `local`, and the checked settings that follow from them. Starts nothing, writes nothing.
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Flag, FlagValues } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { ProviderError } from '../errors.js';
import { ownerName } from '../host/data-dir.js';
import { checkVmDataDir } from '../host/vm-directory.js';
import type { ProviderContext } from '../provider.js';
import { findPrograms, type LocalPrograms } from './programs.js';

export const localFlags = {
  'data-dir': {
    type: 'string',
    env: 'LOCAL_DATA_DIR',
    placeholder: 'DIR',
    describe:
      'where pod VMs live; without it /run/peerpod-local, or for others than root a directory of their own',
  },
  'local-programs-dir': {
    type: 'string',
    env: 'LOCAL_PROGRAMS_DIR',
    placeholder: 'DIR',
    describe:
      'directory with the single-file programs of a pod VM, when they are not installed with the adaptor',
  },
  'forwarder-options': {
    type: 'list',
    env: 'LOCAL_FORWARDER_OPTIONS',
    placeholder: 'FLAG,…',
    describe: "further flags for each pod VM's forwarder, as a real image keeps them in /etc/default",
  },
  'boot-timeout': {
    type: 'duration',
    env: 'LOCAL_BOOT_TIMEOUT',
    default: '30s',
    describe: 'how long a pod VM may take to boot',
  },
} as const satisfies Record<string, Flag>;

export interface LocalSettings {
  readonly dataDir: string;
  /** Below the data directory; holds the VMs of this adaptor. */
  readonly home: string;
  readonly port: number;
  readonly programs: LocalPrograms;
  readonly forwarderOptions: readonly string[];
  readonly bootTimeoutMs: number;
  readonly log: Logger;
}

/** @throws ProviderError ERR_PROVIDER_CONFIG naming the flag */
export function readSettings(
  values: FlagValues<typeof localFlags>,
  { podsDir, forwarderPort, log }: ProviderContext,
): LocalSettings {
  if (process.platform !== 'linux') {
    throw new ProviderError(
      'ERR_PROVIDER_CONFIG',
      `the local provider needs Linux, this is ${process.platform}`,
    );
  }
  const asked = values['data-dir'] ?? defaultDataDir(process.env, process.getuid?.() ?? 0);
  const dataDir = checkVmDataDir(asked, podsDir);
  const programsDir = values['local-programs-dir'];
  return {
    dataDir,
    home: join(dataDir, ownerName(podsDir)),
    port: forwarderPort,
    programs: findPrograms(programsDir === undefined ? undefined : resolve(programsDir)),
    forwarderOptions: values['forwarder-options'],
    bootTimeoutMs: values['boot-timeout'],
    log,
  };
}

/** `/run/peerpod-local` for root, else below XDG_RUNTIME_DIR, else a directory of the user's own in the temporary one. */
export function defaultDataDir(env: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return '/run/peerpod-local';
  const runtime = env['XDG_RUNTIME_DIR'] ?? '';
  return runtime.startsWith('/') ? join(runtime, 'peerpod-local') : join(tmpdir(), `peerpod-${uid}`);
}
