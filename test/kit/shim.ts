// SPDX-License-Identifier: Apache-2.0
// The shim's side: the hypervisor socket, the agent's socket, and a container as a shim makes one.
import {
  agentService,
  healthService,
  hypervisorService,
  podVmInfoService,
} from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix, type TtrpcClient, type TypedClient } from '@peerpod-tls/ttrpc';

export interface ShimHypervisor {
  readonly client: TtrpcClient;
  readonly hypervisor: TypedClient<typeof hypervisorService>;
  readonly info: TypedClient<typeof podVmInfoService>;
}

export async function dialHypervisor(socket: string): Promise<ShimHypervisor> {
  const client = await connectUnix(socket);
  return {
    client,
    hypervisor: clientOf(hypervisorService, client),
    info: clientOf(podVmInfoService, client),
  };
}

export interface ShimAgent {
  readonly client: TtrpcClient;
  readonly agent: TypedClient<typeof agentService>;
  readonly health: TypedClient<typeof healthService>;
}

/** Connects to a sandbox's socket as a shim does. */
export async function dialAgent(socket: string): Promise<ShimAgent> {
  const client = await connectUnix(socket);
  return { client, agent: clientOf(agentService, client), health: clientOf(healthService, client) };
}

/** The nine annotations both shims send. */
export function annotations(
  pod = 'nginx',
  namespace = 'default',
  more: Record<string, string> = {},
): Record<string, string> {
  const prefix = 'io.katacontainers.config.hypervisor.';
  return {
    'io.kubernetes.cri.sandbox-name': pod,
    'io.kubernetes.cri.sandbox-namespace': namespace,
    [`${prefix}machine_type`]: '',
    [`${prefix}image`]: '',
    [`${prefix}default_vcpus`]: '2',
    [`${prefix}default_memory`]: '2048',
    [`${prefix}default_gpus`]: '',
    [`${prefix}default_gpu_model`]: '',
    [`${prefix}cc_init_data`]: '',
    ...more,
  };
}

/** CreateVM and StartVM; gives the path of the agent's socket. */
export async function startPod(
  hypervisor: TypedClient<typeof hypervisorService>,
  id: string,
  pod = 'nginx',
): Promise<string> {
  const { agentSocketPath } = await hypervisor.CreateVM({
    id,
    annotations: annotations(pod),
    networkNamespacePath: '',
  });
  await hypervisor.StartVM({ id });
  return agentSocketPath;
}

/** Creates and starts a container whose first process runs a shell command. */
export async function startContainer(
  agent: TypedClient<typeof agentService>,
  containerId: string,
  command: string,
): Promise<void> {
  await agent.CreateContainer({
    containerId,
    execId: containerId,
    OCI: {
      Version: '1.1.0',
      Process: {
        Args: ['sh', '-c', command],
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        Cwd: '/',
        User: { UID: 0, GID: 0 },
      },
      Root: { Path: `/run/kata-containers/${containerId}/rootfs` },
      Linux: { CgroupsPath: `/${containerId}`, Namespaces: [] },
    },
  });
  await agent.StartContainer({ containerId });
}

/** What a call that was answered with a status rejects with. */
export function status(
  code: number,
  message = /./,
): { readonly code: string; readonly status: number; readonly message: RegExp } {
  return { code: 'ERR_TTRPC_STATUS', status: code, message };
}
