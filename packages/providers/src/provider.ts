// SPDX-License-Identifier: Apache-2.0
// What a cloud is to the adaptor: the one interface every provider implements, one file each. No provider lives here.
import type { Flag, FlagValues } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';

/** What a VM is to be, resolved; the same for every provider. */
export interface InstanceSpec {
  readonly sandbox: string;
  /** Name the instance should carry, already cut to `limits.nameLength`. */
  readonly name: string;
  readonly podName: string;
  readonly podNamespace: string;
  /** Cloud-config text. Holds a private key: a provider keeps it in memory or in a 0600 file, never in a log. */
  readonly userData: string;
  /** Empty: the provider's own default. */
  readonly instanceType: string;
  /** Empty: the provider's own default. */
  readonly image: string;
  /** 0: the provider's own default. */
  readonly vcpus: number;
  /** Mebibytes; 0: the provider's own default. */
  readonly memoryMiB: number;
  readonly gpus: number;
}

/** A virtual machine of ours. The first address is the one the adaptor dials. */
export interface Instance {
  readonly id: string;
  readonly name: string;
  readonly addresses: readonly string[];
  /** The token it was made with, where the platform keeps one: finds the VM of a creation that a crash cut short. */
  readonly token?: string;
}

export interface ProviderLimits {
  /** Largest user-data the platform takes, in bytes before any encoding. */
  readonly userDataBytes: number;
  /** Longest instance name, in characters. */
  readonly nameLength: number;
}

export interface Diagnosis {
  readonly alive: boolean;
  /** Last lines of the instance's console, without secrets; empty where there is none. */
  readonly console: string;
}

export interface Provider {
  readonly name: string;
  readonly limits: ProviderLimits;
  /** Checks the configuration against the platform; a rejection stops the adaptor at start. */
  verify?(signal: AbortSignal): Promise<void>;
  /**
   * Whether an instance could be made now: what each of them needs is there and answers (an engine, a program, a
   * directory with free space). It is asked every few seconds for `/readyz`, so it is quick and costs the platform next
   * to nothing. Rejects with a `ProviderError` whose message is the reason, and with the signal's reason.
   */
  check(signal: AbortSignal): Promise<void>;
  /**
   * Makes one instance and returns once its addresses are known. `token` names the request: a second call with the
   * same token returns the same instance instead of making another. It settles soon after `signal` is aborted. A
   * failure after the instance exists throws a `ProviderError` whose `instance` says what must be deleted.
   */
  createInstance(
    spec: InstanceSpec,
    options: { readonly token: string; readonly signal: AbortSignal },
  ): Promise<Instance>;
  /** Deletes an instance and everything that was made for it. An instance that is not there is a success. */
  deleteInstance(id: string, signal: AbortSignal): Promise<void>;
  /** Everything on the platform that this adaptor made, for finding orphans. */
  listInstances(signal: AbortSignal): Promise<readonly Instance[]>;
  /**
   * The id an instance made with this token has, where that is known beforehand: finds one whose making was cut short
   * so early that nothing on the platform tells its token.
   */
  idOf?(token: string): string;
  /** How an instance is doing, where the platform can tell: a start stops waiting for one that is dead. */
  diagnose?(id: string, signal: AbortSignal): Promise<Diagnosis>;
  /** Releases what the provider object holds; touches no instance. */
  close(): Promise<void>;
}

export interface ProviderContext {
  readonly log: Logger;
  /** The adaptor's `-pods-dir`; a provider keeps nothing under it. */
  readonly podsDir: string;
  /** TCP port on which the forwarder in an instance listens. */
  readonly forwarderPort: number;
}

/** A provider as the command line sees it: its name, its flags, and how to make it from their values. */
export interface ProviderModule<T extends Readonly<Record<string, Flag>> = Readonly<Record<string, Flag>>> {
  readonly name: string;
  readonly describe: string;
  readonly flags: T;
  create(values: FlagValues<T>, context: ProviderContext): Promise<Provider>;
}
