// SPDX-License-Identifier: Apache-2.0
// A cloud of one address: its VM is made of the real guest programs and reached through a cable that can be pulled out.
// For what the local provider cannot do: lose the network while everything else lives on.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Instance, InstanceSpec, Provider } from '@peerpod-tls/providers';
import type { Cable } from './cable.js';
import type { Teardown } from './program.js';
import { Vm } from './vm.js';

export interface CabledOptions {
  /** Called instead of a full boot. */
  readonly boot?: (vm: Vm) => Promise<void>;
  readonly forwarderFlags?: readonly string[];
}

export class CabledProvider implements Provider {
  readonly name = 'cabled';
  readonly limits = { userDataBytes: 65_536, nameLength: 63 };
  readonly deleted: string[] = [];
  readonly #t: Teardown;
  readonly #directory: string;
  /** Where instances made from now on seem to be. */
  host: string;
  options: CabledOptions;
  readonly #vms = new Map<string, { readonly instance: Instance; readonly vm: Vm }>();
  #made = 0;

  /** `host` is where instances seem to be: the near end of `cable`. */
  constructor(t: Teardown, directory: string, host: string, o: CabledOptions = {}) {
    this.#t = t;
    this.#directory = directory;
    this.host = host;
    this.options = o;
  }

  get vm(): Vm {
    const last = [...this.#vms.values()].at(-1);
    if (last === undefined) throw new Error('there is no VM');
    return last.vm;
  }

  /** Where the cable leads. */
  readonly far: Parameters<typeof Cable.plug>[3] = () => ({ host: '127.0.0.1', port: this.vm.port });

  async createInstance(spec: InstanceSpec, { token }: { readonly token: string }): Promise<Instance> {
    this.#made += 1;
    const directory = join(this.#directory, `vm${this.#made}`);
    mkdirSync(directory, { mode: 0o700 });
    const vm = new Vm(this.#t, {
      directory,
      userData: spec.userData,
      host: '127.0.0.1',
      ...(this.options.forwarderFlags === undefined ? {} : { forwarderFlags: this.options.forwarderFlags }),
    });
    const instance = { id: `vm${this.#made}`, name: spec.name, addresses: [this.host], token };
    this.#vms.set(instance.id, { instance, vm });
    await (this.options.boot?.(vm) ?? vm.boot());
    return instance;
  }

  async deleteInstance(id: string): Promise<void> {
    await this.#vms.get(id)?.vm.shutdown();
    this.#vms.delete(id);
    this.deleted.push(id);
  }

  async check(): Promise<void> {}

  async listInstances(): Promise<readonly Instance[]> {
    return [...this.#vms.values()].map(({ instance }) => instance);
  }

  async close(): Promise<void> {}
}
