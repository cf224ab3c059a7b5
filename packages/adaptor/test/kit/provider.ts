// SPDX-License-Identifier: Apache-2.0
// A provider for tests: its VMs live in this process, and it fails where and when a test tells it to.
import { ProviderError, type Instance, type InstanceSpec, type Provider } from '@peerpod-tls/providers';
import { Vm, type VmOptions } from './vm.js';

let lastAddress = 1;

/** A loopback address nobody else in this machine's tests has: 127.<process>.<n>. */
function freshAddress(): string {
  lastAddress += 1;
  const block = (process.pid % 60_000) + 512;
  return `127.${(block >> 8) & 0xff}.${block & 0xff}.${lastAddress % 254}`;
}

export class TestProvider implements Provider {
  readonly name = 'test';
  readonly limits = { userDataBytes: 65_536, nameLength: 63 };
  readonly port: number;
  readonly vms = new Map<string, { readonly instance: Instance; readonly vm: Vm }>();
  readonly specs: InstanceSpec[] = [];
  readonly deleted: string[] = [];
  /** Calls that reached any VM's agent, also of VMs that are gone. */
  readonly heard: string[] = [];
  vmOptions: Partial<VmOptions> = {};
  /** Does not boot what it makes, as a cloud that is slow. */
  boot = true;
  /** Creations that fail after the instance exists. */
  failAfterCreate = 0;
  /** Creations that fail before. */
  failCreate = 0;
  /** What `check` rejects with, while it is set. */
  trouble: Error | null = null;
  /** Deletions that fail. */
  failDelete = 0;
  /** Awaited before an instance is made; a test holds a creation with it. */
  hold: Promise<void> = Promise.resolve();
  holdDelete: Promise<void> = Promise.resolve();
  keepTokens = true;

  constructor(port: number) {
    this.port = port;
  }

  async createInstance(
    spec: InstanceSpec,
    { token, signal }: { readonly token: string; readonly signal: AbortSignal },
  ): Promise<Instance> {
    this.specs.push(spec);
    await this.hold;
    if (this.failCreate > 0) {
      this.failCreate -= 1;
      throw new ProviderError('ERR_PROVIDER_CREATE', 'the quota is used up');
    }
    for (const { instance } of this.vms.values()) if (instance.token === token) return instance;
    const address = freshAddress();
    const instance: Instance = {
      id: `i-${this.specs.length}-${address}`,
      name: spec.name,
      addresses: [address],
      ...(this.keepTokens ? { token } : {}),
    };
    const vm = new Vm({
      address,
      port: this.port,
      userData: spec.userData,
      calls: this.heard,
      ...this.vmOptions,
    });
    this.vms.set(instance.id, { instance, vm });
    if (this.boot) await vm.boot();
    if (this.failAfterCreate > 0) {
      this.failAfterCreate -= 1;
      throw new ProviderError('ERR_PROVIDER_CREATE', 'the disk was not attached', { instance });
    }
    if (signal.aborted) throw new ProviderError('ERR_PROVIDER_ABORTED', 'given up', { instance });
    return instance;
  }

  async deleteInstance(id: string): Promise<void> {
    await this.holdDelete;
    if (this.failDelete > 0) {
      this.failDelete -= 1;
      throw new ProviderError('ERR_PROVIDER_DELETE', 'the cloud is away');
    }
    await this.vms.get(id)?.vm.shutdown();
    this.vms.delete(id);
    this.deleted.push(id);
  }

  async check(): Promise<void> {
    if (this.trouble !== null) throw this.trouble;
  }

  async listInstances(): Promise<readonly Instance[]> {
    return [...this.vms.values()].map(({ instance }) => instance);
  }

  async close(): Promise<void> {}

  get only(): Vm {
    const [first] = this.vms.values();
    if (first === undefined) throw new Error('there is no VM');
    return first.vm;
  }

  /** Ends what a test left running. */
  async destroy(): Promise<void> {
    this.failDelete = 0;
    for (const { vm } of this.vms.values()) await vm.shutdown();
    this.vms.clear();
  }
}
