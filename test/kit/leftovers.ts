// SPDX-License-Identifier: Apache-2.0
// What an adaptor with the local provider leaves under its directory when every sandbox is gone: nothing but its state,
// and a proxy that serves nobody and ends when it is asked to.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { untilNoProcess } from './directory.js';
import { stopProxies } from './proxies.js';

export interface Leftovers {
  /** Entries of the pods directory beside the state. */
  readonly pods: readonly string[];
  readonly records: readonly string[];
  /** Directories of pod VMs. */
  readonly vms: readonly string[];
  readonly addresses: readonly string[];
  /** Sandboxes that a proxy still had. */
  readonly served: readonly string[];
  /** Command lines of processes that belong to the directory. */
  readonly processes: readonly string[];
}

export const nothing: Leftovers = {
  pods: [],
  records: [],
  vms: [],
  addresses: [],
  served: [],
  processes: [],
};

const entries = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

export function vmsIn(directory: string): string[] {
  const data = join(directory, 'vms');
  return entries(data)
    .filter(name => name !== 'addresses')
    .flatMap(owner => entries(join(data, owner)));
}

/** Looks when the adaptor has ended; processes that are about to end get `ms` for it. */
export async function leftovers(directory: string, ms = 3000): Promise<Leftovers> {
  const served = await stopProxies(directory);
  const processes = (await untilNoProcess(directory, ms)).map(({ command }) => command);
  return {
    pods: entries(join(directory, 'pods')).filter(name => name !== '.state'),
    records: entries(join(directory, 'pods/.state/sandboxes')),
    vms: vmsIn(directory),
    addresses: entries(join(directory, 'vms/addresses')),
    served,
    processes,
  };
}
