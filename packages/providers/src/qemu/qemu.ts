// SPDX-License-Identifier: Apache-2.0
// The provider `qemu`: a pod VM is a virtual machine of its own on this host, started from a base image that stays as
// it is. The command line, the seed disk, the monitor and the records have files of their own.
import { access, constants, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deadline, KeyedMutex, messageOf, writeSecretFile } from '@peerpod-tls/base';
import type { FlagValues } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { ProviderError } from '../errors.js';
import { checkHome, makeHome, ownerName } from '../host/data-dir.js';
import { candidateAddress, isFree, releaseAddresses, reserveAddress } from '../host/loopback-address.js';
import { findProgram } from '../host/program.js';
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
import { Accelerator } from './accelerator.js';
import { macOf, parseNetwork, qemuArguments, type QemuNetwork } from './command.js';
import { consoleOf } from './console.js';
import { qemuFlags } from './flags.js';
import { findImage, type QemuImage } from './image.js';
import { machineRuns, neighbourAddress, startQemu } from './launch.js';
import { seedOf } from './seed.js';
import { STOP_MS, stopQemu } from './stop.js';
import { whyNotMade } from './why-not-made.js';

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
    this.#dataDir = store.checkVmDataDir(values['data-dir'], podsDir);
    this.#home = join(this.#dataDir, ownerName(podsDir));
    this.#accelerator = new Accelerator(values['qemu-accel'], values['qemu-program'], log);
  }

  async verify(signal: AbortSignal): Promise<void> {
    await this.check();
    if (this.#network.t === 'user') await isFree(candidateAddress(this.#home, 0), this.#port);
    await this.#accelerator.choose(signal);
  }

  /** That the data directory can be written to, and that qemu and the files of the image are there. */
  async check(): Promise<void> {
    await checkHome(this.#dataDir, this.#home);
    const name = this.#values['qemu-program'];
    const program = findProgram(name);
    if (program.t !== 'found') {
      const text =
        program.t === 'missing'
          ? `there is no program ${name}${program.where}`
          : `${program.path} may not be executed`;
      throw new ProviderError('ERR_PROVIDER_UNAVAILABLE', `${text} (-qemu-program)`, {
        hint: 'on Debian: apt-get install qemu-system-x86',
      });
    }
    const { path, kernel } = this.#image;
    for (const file of [path, kernel?.path, kernel?.initrd]) {
      if (typeof file !== 'string') continue;
      await access(file, constants.R_OK).catch((cause: unknown) => {
        const text = `${file}, a file of the base image, cannot be read: ${messageOf(cause)}`;
        throw new ProviderError('ERR_PROVIDER_UNAVAILABLE', text, {
          hint: 'put it back, or give another -qemu-image',
          cause,
        });
      });
    }
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

  listInstances(_signal: AbortSignal): Promise<readonly Instance[]> {
    return store.instancesIn(this.#home);
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
    if (before?.leader && before.address !== '' && isAlive(before.leader)) return store.instanceOf(before);
    // A creation that a crash cut short, or a machine that has ended: nobody uses it, so it is made anew.
    if (await store.exists(paths.directory)) await this.#delete(id, signal);
    const started = performance.now();
    try {
      const record = await this.#make(paths, id, spec, token, signal);
      const { name, address } = record;
      const ms = Math.round(performance.now() - started);
      this.#log.info({ instance: id, instanceName: name, address, ms }, 'virtual machine started');
      return store.instanceOf(record);
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
    await makeHome(this.#dataDir, this.#home);
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
    using late = deadline(this.#values['boot-timeout'], signal);
    await machineRuns(paths, leader, late);
    // qemu holds it open until the guest lets go of the disk; from here on it has no name, and no copy is kept.
    await rm(paths.disk);
    const reached = isUser ? address : await neighbourAddress(macOf(id), leader, late);
    const running = { ...record, leader, address: reached };
    await store.writeRecord(paths, running);
    return running;
  }

  async #failed(id: string, cause: unknown, caller: AbortSignal): Promise<ProviderError> {
    const { console } = await this.diagnose(id);
    const { code, text, hint } = await whyNotMade({
      cause,
      givenUp: caller.aborted,
      console,
      dataDir: this.#dataDir,
      bootTimeoutMs: this.#values['boot-timeout'],
    });
    using late = deadline(STOP_MS);
    const left = await this.#delete(id, late).then(
      () => undefined,
      () => ({ id, name: id, addresses: [] }),
    );
    return new ProviderError(code, `the virtual machine ${id} was not made: ${text}`, {
      hint,
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
