// SPDX-License-Identifier: Apache-2.0
// The provider `local`: a pod VM is a process group on its own loopback address, with a directory for its file system.
// It shows the whole path on one machine and isolates nothing. Processes, addresses and records have files of their own.
import { access, constants, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { writeSecretFile } from '@peerpod-tls/base';
import type { Flag, FlagValues } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';

import { ProviderError } from '../errors.js';
import { isFree, candidateAddress, releaseAddresses, reserveAddress } from '../host/loopback-address.js';
import { lastLines } from '../host/last-lines.js';
import * as store from '../host/vm-directory.js';
import type { VmPaths, VmRecord } from '../host/vm-directory.js';
import { whyNotMade } from './why-not-made.js';
import { startVm } from './launch.js';
import { endProcesses, isAlive } from '../host/vm-processes.js';
import { findPrograms } from './programs.js';
import type { LocalPrograms } from './programs.js';
import type { Instance, InstanceSpec, Provider, ProviderContext, ProviderModule } from '../provider.js';

/** Milliseconds for the guest's programs to end when asked, and again after they were killed. */
const GRACE_MS = 2_000;
const KILL_MS = 5_000;

const flags = {
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

export const local: ProviderModule<typeof flags> = {
  name: 'local',
  describe:
    'pod VMs as processes on loopback addresses of this machine; for trying and testing, isolates nothing',
  flags,
  create: async (values: FlagValues<typeof flags>, context: ProviderContext) =>
    new LocalProvider(readSettings(values, context)),
};

interface Settings {
  readonly dataDir: string;
  /** Below the data directory; holds the VMs of this adaptor. */
  readonly home: string;
  readonly port: number;
  readonly programs: LocalPrograms;
  readonly forwarderOptions: readonly string[];
  readonly bootTimeoutMs: number;
  readonly log: Logger;
}

function readSettings(values: FlagValues<typeof flags>, context: ProviderContext): Settings {
  if (process.platform !== 'linux') {
    throw new ProviderError(
      'ERR_PROVIDER_CONFIG',
      `the local provider needs Linux, this is ${process.platform}`,
    );
  }
  const asked = values['data-dir'] ?? store.defaultDataDir(process.env, process.getuid?.() ?? 0);
  const dataDir = store.checkDataDir(asked, context.podsDir);
  const programsDir = values['local-programs-dir'];
  return {
    dataDir,
    home: join(dataDir, store.ownerName(context.podsDir)),
    port: context.forwarderPort,
    programs: findPrograms(programsDir === undefined ? undefined : resolve(programsDir)),
    forwarderOptions: values['forwarder-options'],
    bootTimeoutMs: values['boot-timeout'],
    log: context.log,
  };
}

class LocalProvider implements Provider {
  readonly name = 'local';
  readonly limits = { userDataBytes: 1 << 20, nameLength: 63 };
  readonly #settings: Settings;
  /** The last thing asked for each VM: the next one on the same VM waits for it. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  async verify(): Promise<void> {
    const { dataDir, home, port } = this.#settings;
    if (port === 0)
      throw new ProviderError(
        'ERR_PROVIDER_CONFIG',
        'the local provider needs a -forwarder-port other than 0',
      );
    await store.makeHome(dataDir, home);
    await access(home, constants.W_OK);
    await isFree(candidateAddress(home, 0), port);
  }

  createInstance(
    spec: InstanceSpec,
    options: { readonly token: string; readonly signal: AbortSignal },
  ): Promise<Instance> {
    const id = store.idOfToken(options.token);
    return this.#inTurn(id, () => this.#create(id, spec, options.token, options.signal));
  }

  deleteInstance(id: string, signal: AbortSignal): Promise<void> {
    // Not an id of ours: there is nothing to delete, and above all no path to make of it.
    if (!store.isId(id)) return Promise.resolve();
    return this.#inTurn(id, () => this.#delete(id, signal));
  }

  async listInstances(_signal: AbortSignal): Promise<readonly Instance[]> {
    const ids = await store.idsIn(this.#settings.home);
    return Promise.all(
      ids.map(async id => {
        const record = await store.readRecord(this.#paths(id));
        return record === null ? { id, name: id, addresses: [] } : instanceOf(record);
      }),
    );
  }

  idOf(token: string): string {
    return store.idOfToken(token);
  }

  /** Whether the VM's leading process lives, and the last lines of its console. */
  async diagnose(id: string): Promise<{ readonly alive: boolean; readonly console: string }> {
    if (!store.isId(id)) return { alive: false, console: '' };
    const paths = this.#paths(id);
    const leader = (await store.readRecord(paths))?.leader ?? null;
    return { alive: leader !== null && isAlive(leader), console: await lastLines(paths.console, 20) };
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#turns.values());
  }

  async #create(id: string, spec: InstanceSpec, token: string, signal: AbortSignal): Promise<Instance> {
    const paths = this.#paths(id);
    const before = await store.readRecord(paths);
    if (before?.leader) return instanceOf(before);
    // A creation that a crash cut short: nobody has its address, so it is made anew.
    if (await store.exists(paths.directory)) await this.#delete(id, signal);
    const started = performance.now();
    try {
      const record = await this.#make(paths, id, spec, token, signal);
      this.#settings.log.info(
        {
          instance: id,
          instanceName: record.name,
          address: record.address,
          ms: Math.round(performance.now() - started),
        },
        'local pod VM booted',
      );
      return instanceOf(record);
    } catch (error) {
      throw await this.#failed(id, paths, error, signal);
    }
  }

  async #make(
    paths: VmPaths,
    id: string,
    spec: InstanceSpec,
    token: string,
    signal: AbortSignal,
  ): Promise<VmRecord> {
    const { dataDir, home, port, programs, forwarderOptions, bootTimeoutMs } = this.#settings;
    await store.makeHome(dataDir, home);
    await store.makeVmDirectory(paths);
    const address = await reserveAddress(this.#reservations(), paths.directory, port, signal);
    const { name, sandbox } = spec;
    const record: VmRecord = {
      version: 1,
      id,
      name,
      token,
      sandbox,
      address,
      created: new Date().toISOString(),
      leader: null,
    };
    await store.writeRecord(paths, record);
    await writeSecretFile(paths.seed, spec.userData);
    const { directory, guest, seed, config, console, agentSocket } = paths;
    const plan = {
      name,
      address,
      port,
      directory,
      guest,
      seed,
      config,
      console,
      agentSocket,
      programs,
      forwarderOptions,
    };
    await writeSecretFile(paths.boot, JSON.stringify(plan));
    const vm = startVm(paths, programs.vm);
    const running = { ...record, leader: vm.leader };
    await store.writeRecord(paths, running);
    await vm.booted(AbortSignal.any([signal, AbortSignal.timeout(bootTimeoutMs)]));
    return running;
  }

  /** Undoes a creation and says why it failed, with the console's last words. */
  async #failed(id: string, paths: VmPaths, cause: unknown, caller: AbortSignal): Promise<ProviderError> {
    const { dataDir, bootTimeoutMs } = this.#settings;
    const { console } = paths;
    const started = ((await store.readRecord(paths))?.leader ?? null) !== null;
    const failing = { cause, givenUp: caller.aborted, started, console, dataDir, bootTimeoutMs };
    const { code, text, hint } = await whyNotMade(failing);
    const left = await this.#delete(id, AbortSignal.timeout(GRACE_MS + KILL_MS)).then(
      () => undefined,
      () => ({ id, name: id, addresses: [] }),
    );
    const message = `the local pod VM ${id} was not made: ${text}`;
    return new ProviderError(code, message, { hint, cause, instance: left });
  }

  async #delete(id: string, signal: AbortSignal): Promise<void> {
    const paths = this.#paths(id);
    if (!(await store.exists(paths.directory))) {
      await releaseAddresses(this.#reservations(), paths.directory);
      return;
    }
    const leader = (await store.readRecord(paths))?.leader ?? null;
    const left = await endProcesses(paths.directory, { leader, graceMs: GRACE_MS, killMs: KILL_MS, signal });
    if (left.length > 0) {
      throw new ProviderError(
        'ERR_PROVIDER_DELETE',
        `processes ${left.join(', ')} of the local pod VM ${id} would not end`,
        {
          hint: 'they may belong to another user; end them by hand, the deletion is tried again',
        },
      );
    }
    await releaseAddresses(this.#reservations(), paths.directory);
    await remove(paths.directory);
    this.#settings.log.info({ instance: id }, 'local pod VM deleted');
  }

  #paths(id: string): VmPaths {
    return store.pathsOf(this.#settings.home, id);
  }

  #reservations(): string {
    return join(this.#settings.dataDir, 'addresses');
  }

  async #inTurn<T>(id: string, action: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const turn = before.then(action, action);
    const settled = turn.catch(() => {});
    this.#turns.set(id, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(id) === settled) this.#turns.delete(id);
    }
  }
}

/** @throws ProviderError ERR_PROVIDER_DELETE */
async function remove(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
  } catch (error) {
    throw new ProviderError('ERR_PROVIDER_DELETE', `${directory} cannot be removed: ${String(error)}`, {
      hint: 'a container may have left files of another user or a mount in it; remove it by hand, the deletion is tried again',
      cause: error,
    });
  }
}

function instanceOf(record: VmRecord): Instance {
  return { id: record.id, name: record.name, addresses: [record.address], token: record.token };
}
