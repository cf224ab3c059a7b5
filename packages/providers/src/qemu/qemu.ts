// SPDX-License-Identifier: Apache-2.0
// The provider `qemu`: a pod VM is a virtual machine of its own on this host, started from a base image that stays as
// it is. The command line, the seed disk, the monitor and the records have files of their own.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { makeSecretDirectory, writeSecretFile } from '@peerpod-tls/base';
import type { FlagValues } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';

import { ProviderError } from '../errors.js';
import { candidateAddress, isFree, releaseAddresses, reserveAddress } from '../host/loopback-address.js';
import * as store from '../host/vm-directory.js';
import type { VmPaths, VmRecord } from '../host/vm-directory.js';
import { isAlive } from '../host/vm-processes.js';
import type {
  Diagnosis,
  Instance,
  InstanceSpec,
  Provider,
  ProviderContext,
  ProviderModule,
} from '../provider.js';
import { macOf, parseNetwork, qemuArguments } from './command.js';
import type { QemuNetwork } from './command.js';
import { consoleOf } from './console.js';
import { qemuFlags } from './flags.js';
import { findImage } from './image.js';
import type { QemuImage } from './image.js';
import { Accelerator } from './accelerator.js';
import { machineRuns, neighbourAddress, startQemu } from './launch.js';
import { seedOf } from './seed.js';
import { STOP_MS, stopQemu } from './stop.js';
import { KeyedMutex } from '@peerpod-tls/base';

export const qemu: ProviderModule<typeof qemuFlags> = {
  name: 'qemu',
  describe: 'pod VMs as virtual machines of this host, under KVM or emulated',
  flags: qemuFlags,
  create: async (values: FlagValues<typeof qemuFlags>, context: ProviderContext) => {
    const image = await findImage(values['qemu-image'], values['qemu-kernel'], values['qemu-initrd']);
    return new QemuProvider(values, image, parseNetwork(values['qemu-network']), context);
  },
};

interface QemuPaths extends VmPaths {
  readonly disk: string;
  readonly monitor: string;
  readonly log: string;
}

class QemuProvider implements Provider {
  readonly name = 'qemu';
  readonly limits = { userDataBytes: 1 << 20, nameLength: 63 };
  readonly #values: FlagValues<typeof qemuFlags>;
  readonly #image: QemuImage;
  readonly #network: QemuNetwork;
  readonly #log: Logger;
  readonly #port: number;
  readonly #dataDir: string;
  readonly #home: string;
  readonly #turns = new KeyedMutex();
  readonly #accelerator: Accelerator;

  constructor(
    values: FlagValues<typeof qemuFlags>,
    image: QemuImage,
    network: QemuNetwork,
    { log, podsDir, forwarderPort }: ProviderContext,
  ) {
    this.#values = values;
    this.#image = image;
    this.#network = network;
    this.#log = log;
    this.#port = forwarderPort;
    this.#dataDir = store.checkDataDir(values['data-dir'], podsDir);
    this.#home = join(this.#dataDir, store.ownerName(podsDir));
    this.#accelerator = new Accelerator(values['qemu-accel'], values['qemu-program'], log);
  }

  async verify(signal: AbortSignal): Promise<void> {
    await makeSecretDirectory(this.#dataDir);
    await makeSecretDirectory(this.#home);
    if (this.#network.t === 'user') await isFree(candidateAddress(this.#home, 0), this.#port);
    await this.#accelerator.choose(signal);
  }

  createInstance(
    spec: InstanceSpec,
    options: { readonly token: string; readonly signal: AbortSignal },
  ): Promise<Instance> {
    const id = store.idOfToken(options.token);
    return this.#turns.run(id, () => this.#create(id, spec, options.token, options.signal));
  }

  deleteInstance(id: string, signal: AbortSignal): Promise<void> {
    if (!store.isId(id)) return Promise.resolve();
    return this.#turns.run(id, () => this.#delete(id, signal));
  }

  async listInstances(_signal: AbortSignal): Promise<readonly Instance[]> {
    const ids = await store.idsIn(this.#home);
    return Promise.all(
      ids.map(async id => {
        const record = await store.readRecord(this.#paths(id));
        return record === null ? { id, name: id, addresses: [] } : instanceOf(record);
      }),
    );
  }

  async diagnose(id: string): Promise<Diagnosis> {
    if (!store.isId(id)) return { alive: false, console: '' };
    const paths = this.#paths(id);
    const leader = (await store.readRecord(paths))?.leader ?? null;
    const alive = leader !== null && isAlive(leader);
    return { alive, console: await consoleOf(paths, !alive) };
  }

  idOf(token: string): string {
    return store.idOfToken(token);
  }

  async close(): Promise<void> {
    this.#accelerator.close();
    await this.#turns.idle();
  }

  async #create(id: string, spec: InstanceSpec, token: string, signal: AbortSignal): Promise<Instance> {
    if (spec.image !== '' && spec.image !== this.#values['qemu-image']) {
      throw new ProviderError(
        'ERR_PROVIDER_CONFIG',
        `the pod asks for the image ${JSON.stringify(spec.image)}`,
        {
          hint: 'all pod VMs of the qemu provider start from -qemu-image; take the annotation away',
        },
      );
    }
    const paths = this.#paths(id);
    const before = await store.readRecord(paths);
    if (before?.leader && before.address !== '' && isAlive(before.leader)) return instanceOf(before);
    // A creation that a crash cut short, or a machine that has ended: nobody uses it, so it is made anew.
    if (await store.exists(paths.directory)) await this.#delete(id, signal);
    const started = performance.now();
    try {
      const record = await this.#make(paths, id, spec, token, signal);
      const { name, address } = record;
      const ms = Math.round(performance.now() - started);
      this.#log.info({ instance: id, instanceName: name, address, ms }, 'virtual machine started');
      return instanceOf(record);
    } catch (error) {
      throw await this.#failed(id, error, signal);
    }
  }

  async #make(
    paths: QemuPaths,
    id: string,
    spec: InstanceSpec,
    token: string,
    signal: AbortSignal,
  ): Promise<VmRecord> {
    const acceleration = await this.#accelerator.choose(signal);
    await makeSecretDirectory(this.#dataDir);
    await makeSecretDirectory(this.#home);
    await mkdir(paths.directory, { mode: 0o700 });
    const { name, sandbox } = spec;
    const isUser = this.#network.t === 'user';
    const address = isUser
      ? await reserveAddress(this.#reservations(), paths.directory, this.#port, signal)
      : '';
    const created = new Date().toISOString();
    const record: VmRecord = { version: 1, id, name, token, sandbox, address, created, leader: null };
    await store.writeRecord(paths, record);
    await writeSecretFile(paths.disk, seedOf(spec));
    const args = qemuArguments(
      {
        name,
        acceleration,
        cpus: spec.vcpus > 0 ? spec.vcpus : this.#values['qemu-cpus'],
        memoryMiB: spec.memoryMiB > 0 ? spec.memoryMiB : this.#values['qemu-memory'],
        image: this.#image.path,
        imageFormat: this.#image.format,
        kernel: this.#image.kernel,
        seed: paths.disk,
        monitor: paths.monitor,
        network: this.#network,
        address,
        port: this.#port,
      },
      id,
    );
    const leader = startQemu(paths, this.#values['qemu-program'], args);
    await store.writeRecord(paths, { ...record, leader });
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(this.#values['boot-timeout'])]);
    await machineRuns(paths, leader, deadline);
    // qemu holds it open until the guest lets go of the disk; from here on it has no name, and no copy is kept.
    await rm(paths.disk);
    const reached = isUser ? address : await neighbourAddress(macOf(id), leader, deadline);
    const running = { ...record, leader, address: reached };
    await store.writeRecord(paths, running);
    return running;
  }

  async #failed(id: string, cause: unknown, caller: AbortSignal): Promise<ProviderError> {
    const { console: said } = await this.diagnose(id);
    const timedOut = cause instanceof Error && cause.name === 'TimeoutError';
    const text = caller.aborted
      ? 'the request was given up'
      : timedOut
        ? `it had no address within ${this.#values['boot-timeout'] / 1000} s (-boot-timeout)`
        : cause instanceof Error
          ? cause.message
          : String(cause);
    const left = await this.#delete(id, AbortSignal.timeout(STOP_MS)).then(
      () => undefined,
      () => ({ id, name: id, addresses: [] }),
    );
    const config = cause instanceof ProviderError && cause.code === 'ERR_PROVIDER_CONFIG';
    const code = caller.aborted ? 'ERR_PROVIDER_ABORTED' : config ? cause.code : 'ERR_PROVIDER_CREATE';
    return new ProviderError(code, `the virtual machine ${id} was not made: ${text}`, {
      hint: said === '' ? undefined : `its console ended with:\n${said}`,
      cause,
      instance: left,
    });
  }

  async #delete(id: string, signal: AbortSignal): Promise<void> {
    const paths = this.#paths(id);
    if (await store.exists(paths.directory)) {
      const leader = (await store.readRecord(paths))?.leader ?? null;
      const left = await stopQemu(paths, leader, signal);
      if (left.length > 0) {
        const text = `the qemu of the virtual machine ${id} (process ${left.join(', ')}) would not end`;
        throw new ProviderError('ERR_PROVIDER_DELETE', text, { hint: 'the deletion is tried again' });
      }
      await rm(paths.directory, { recursive: true, force: true });
      this.#log.info({ instance: id }, 'virtual machine deleted');
    }
    await releaseAddresses(this.#reservations(), paths.directory);
  }

  #paths(id: string): QemuPaths {
    const paths = store.pathsOf(this.#home, id);
    const at = (name: string): string => join(paths.directory, name);
    return { ...paths, disk: at('seed.iso'), monitor: at('monitor.sock'), log: at('qemu.log') };
  }

  #reservations(): string {
    return join(this.#dataDir, 'addresses');
  }
}

function instanceOf(record: VmRecord): Instance {
  return {
    id: record.id,
    name: record.name,
    addresses: record.address === '' ? [] : [record.address],
    token: record.token,
  };
}
