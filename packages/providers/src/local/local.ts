// SPDX-License-Identifier: Apache-2.0
// The provider `local`: a pod VM is a process group on its own loopback address, with a directory for its file system.
// It shows the whole path on one machine and isolates nothing. Processes, addresses and records have files of their own.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deadline, KeyedMutex, reasonOf, writeSecretFile } from '@peerpod-tls/base';
import type { FlagValues } from '@peerpod-tls/daemon';
import { ProviderError } from '../errors.js';
import { checkHome, makeHome } from '../host/data-dir.js';
import { lastLines } from '../host/last-lines.js';
import { candidateAddress, isFree, releaseAddresses, reserveAddress } from '../host/loopback-address.js';
import * as store from '../host/vm-directory.js';
import type { VmPaths, VmRecord } from '../host/vm-directory.js';
import { endProcesses, isAlive } from '../host/vm-processes.js';
import type { Instance, InstanceSpec, Provider, ProviderContext, ProviderModule } from '../provider.js';
import { localFlags, readSettings, type LocalSettings } from './flags.js';
import { startVm } from './launch.js';
import { whyNotMade } from './why-not-made.js';

/** Milliseconds for the guest's programs to end when asked, and again after they were killed. */
const GRACE_MS = 2_000;
const KILL_MS = 5_000;

export const local: ProviderModule<typeof localFlags> = {
  name: 'local',
  describe:
    'pod VMs as processes on loopback addresses of this machine; for trying and testing, isolates nothing',
  flags: localFlags,
  create: async (values: FlagValues<typeof localFlags>, context: ProviderContext) =>
    new LocalProvider(readSettings(values, context)),
};

class LocalProvider implements Provider {
  readonly name = 'local';
  readonly limits = { userDataBytes: 1 << 20, nameLength: 63 };
  readonly #settings: LocalSettings;
  /** One thing at a time for each VM. */
  readonly #turns = new KeyedMutex();

  constructor(settings: LocalSettings) {
    this.#settings = settings;
  }

  async verify(): Promise<void> {
    const { home, port } = this.#settings;
    if (port === 0)
      throw new ProviderError(
        'ERR_PROVIDER_CONFIG',
        'the local provider needs a -forwarder-port other than 0',
      );
    await this.check();
    await isFree(candidateAddress(home, 0), port);
  }

  /** That the data directory can be written to, and that the programs of a VM are there. */
  async check(): Promise<void> {
    const { dataDir, home, programs } = this.#settings;
    await checkHome(dataDir, home);
    const gone = Object.values(programs).find(path => !existsSync(path));
    if (gone === undefined) return;
    throw new ProviderError('ERR_PROVIDER_UNAVAILABLE', `${gone}, a program of a pod VM, is gone`, {
      hint: 'install it again, or give -local-programs-dir, the directory that holds the single-file programs',
    });
  }

  createInstance(
    spec: InstanceSpec,
    options: { readonly token: string; readonly signal: AbortSignal },
  ): Promise<Instance> {
    const id = store.idOfToken(options.token);
    return this.#turns.run(id, () => this.#create(id, spec, options.token, options.signal));
  }

  deleteInstance(id: string, signal: AbortSignal): Promise<void> {
    // Not an id of ours: there is nothing to delete, and above all no path to make of it.
    if (!store.isId(id)) return Promise.resolve();
    return this.#turns.run(id, () => this.#delete(id, signal));
  }

  listInstances(_signal: AbortSignal): Promise<readonly Instance[]> {
    return store.instancesIn(this.#settings.home);
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
    await this.#turns.idle();
  }

  async #create(id: string, spec: InstanceSpec, token: string, signal: AbortSignal): Promise<Instance> {
    const paths = this.#paths(id);
    const before = await store.readRecord(paths);
    if (before?.leader) return store.instanceOf(before);
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
      return store.instanceOf(record);
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
    await makeHome(dataDir, home);
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
    using late = deadline(bootTimeoutMs, signal);
    await vm.booted(late);
    return running;
  }

  /** Undoes a creation and says why it failed, with the console's last words. */
  async #failed(id: string, paths: VmPaths, cause: unknown, caller: AbortSignal): Promise<ProviderError> {
    const { dataDir, bootTimeoutMs } = this.#settings;
    const { console } = paths;
    const started = ((await store.readRecord(paths))?.leader ?? null) !== null;
    const failing = { cause, givenUp: caller.aborted, started, console, dataDir, bootTimeoutMs };
    const { code, text, hint } = await whyNotMade(failing);
    using late = deadline(GRACE_MS + KILL_MS);
    const left = await this.#delete(id, late).then(
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
}

/** @throws ProviderError ERR_PROVIDER_DELETE */
async function remove(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
  } catch (error) {
    throw new ProviderError('ERR_PROVIDER_DELETE', `${directory} cannot be removed: ${reasonOf(error)}`, {
      hint: 'a container may have left files of another user or a mount in it; remove it by hand, the deletion is tried again',
      cause: error,
    });
  }
}
