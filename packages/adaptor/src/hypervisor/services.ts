// SPDX-License-Identifier: Apache-2.0
// The two services on the hypervisor socket, as shims and peerpodvm tools call them. Requests become calls on the
// sandboxes, errors become statuses; nothing is decided here.
import { hypervisorService, podVmInfoService } from '@peerpod-tls/agent-protocol';
import { implement, StatusCode, StatusError, type Implementation } from '@peerpod-tls/ttrpc';
import { checkNamespacePath, readSandboxSpec } from './create-request.js';
import type { SandboxTable } from '../sandboxes/sandbox-table.js';
import { instanceOf } from '../sandboxes/sandbox.js';
import type { Sandboxes } from '../sandboxes/sandboxes.js';
import { statusOf } from './status-of.js';

/** What upstream answers to Version, and shims never look at. */
const HYPERVISOR_VERSION = '0.0.0';

export function hypervisorServices(sandboxes: Sandboxes, table: SandboxTable): readonly Implementation[] {
  return [
    implement(hypervisorService, {
      CreateVM: async request => {
        const { id, annotations, networkNamespacePath } = request;
        return answered(async () => ({
          agentSocketPath: await sandboxes.create(
            id,
            readSandboxSpec(annotations),
            checkNamespacePath(networkNamespacePath),
          ),
        }));
      },
      StartVM: async (request, { signal }) =>
        answered(() => sandboxes.start(request.id, signal).then(() => ({}))),
      StopVM: async (request, { signal }) =>
        answered(() => sandboxes.stop(request.id, signal).then(() => ({}))),
      Version: () => ({ version: HYPERVISOR_VERSION }),
    }),
    implement(podVmInfoService, {
      GetInfo: async (request, { signal }) => {
        const { PodName: pod, PodNamespace: namespace, Wait: wait } = request;
        return { VMID: await vmOf(table, pod, namespace, wait, signal) };
      },
    }),
  ];
}

async function answered<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw statusOf(error);
  }
}

/**
 * The id of the VM that carries a pod. With `wait` it waits for there to be one, whether or not its sandbox exists yet,
 * until the caller's deadline or until the caller leaves.
 */
async function vmOf(
  table: SandboxTable,
  pod: string,
  namespace: string,
  wait: boolean,
  signal: AbortSignal,
): Promise<string> {
  for (;;) {
    const vm = findVm(table, pod, namespace);
    if (vm !== null) return vm;
    if (!wait) {
      throw new StatusError(
        StatusCode.notFound,
        `there is no VM for pod ${JSON.stringify(pod.slice(0, 253))} in namespace ${JSON.stringify(namespace.slice(0, 253))}`,
      );
    }
    await table.nextChange(signal);
  }
}

/** A pod whose sandbox was made anew has two for a moment; the newer one that is not on its way out counts. */
function findVm(table: SandboxTable, pod: string, namespace: string): string | null {
  let found: { readonly id: string; readonly createdAt: string } | null = null;
  for (const sandbox of table.values()) {
    const { spec, state, createdAt } = sandbox;
    if (spec.pod !== pod || spec.namespace !== namespace) continue;
    if (state.t !== 'starting' && state.t !== 'running') continue;
    const instance = instanceOf(sandbox);
    if (instance !== null && (found === null || createdAt >= found.createdAt))
      found = { id: instance.id, createdAt };
  }
  return found?.id ?? null;
}
