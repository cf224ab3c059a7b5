// SPDX-License-Identifier: Apache-2.0
// A pod VM as a kata shim has it made and unmade: CreateVM, StartVM, StopVM. What happens inside the VM is container.ts.
import { randomBytes } from 'node:crypto';
import { hypervisorService, operatorService } from '@peerpod-tls/agent-protocol';
import { StatusCode, type TtrpcClient, type TypedClient, clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import { codeOf, messageOf, sleep } from '@peerpod-tls/base';
import { CliError } from '../errors.js';
import { callError, statusOf } from './call-error.js';

/** What is asked for; empty texts leave the choice to the provider. */
export interface PodRequest {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly machineType?: string | undefined;
  readonly image?: string | undefined;
  readonly vcpus?: number | undefined;
  readonly memoryMiB?: number | undefined;
}

/** Shims wait this long for StartVM when nothing else is configured. */
const START_TIMEOUT_MS = 600_000;
const CREATE_TIMEOUT_MS = 60_000;
/** Deleting an instance can take a cloud minutes; a shim waits one second and goes, a person wants to know. */
const STOP_TIMEOUT_MS = 120_000;
/** The budget of the shims for reaching the agent's socket after StartVM. */
const AGENT_DIAL_MS = 30_000;
/** Between two tries to reach a socket that is not there yet. */
const AGAIN_MS = 100;

/** A sandbox id: the pod's name for the eye, and enough randomness to be nobody else's. */
export function newSandboxId(name: string): string {
  const readable = name
    .replaceAll(/[^A-Za-z0-9-]/gu, '-')
    .replace(/^-+/u, '')
    .slice(0, 32);
  return `${readable === '' ? 'pod' : readable}-${randomBytes(4).toString('hex')}`;
}

/** The nine annotations that both kata shims send, always all of them. */
function annotationsOf(request: PodRequest): Record<string, string> {
  const hypervisor = 'io.katacontainers.config.hypervisor.';
  const number = (n: number | undefined) => (n === undefined || n === 0 ? '' : String(n));
  return {
    'io.kubernetes.cri.sandbox-name': request.name,
    'io.kubernetes.cri.sandbox-namespace': request.namespace,
    [`${hypervisor}machine_type`]: request.machineType ?? '',
    [`${hypervisor}image`]: request.image ?? '',
    [`${hypervisor}default_vcpus`]: number(request.vcpus),
    [`${hypervisor}default_memory`]: number(request.memoryMiB),
    [`${hypervisor}default_gpus`]: '',
    [`${hypervisor}default_gpu_model`]: '',
    [`${hypervisor}cc_init_data`]: '',
  };
}

/** CreateVM; gives the path of the agent's socket, which answers after {@link startVm}. */
export async function createVm(
  client: TtrpcClient,
  request: PodRequest,
  signal?: AbortSignal,
): Promise<string> {
  try {
    const { agentSocketPath } = await clientOf(hypervisorService, client).CreateVM(
      { id: request.id, annotations: annotationsOf(request) },
      { timeoutMs: CREATE_TIMEOUT_MS, signal },
    );
    return agentSocketPath;
  } catch (error) {
    throw callError('CreateVM', error);
  }
}

/**
 * Has the adaptor stop the sandbox when this connection ends, however it ends; the lease stands before any later call
 * on the connection. Resolves when it is over: `unknown` where the adaptor has no leases, as Go's.
 */
export async function holdSandbox(client: TtrpcClient, id: string): Promise<'over' | 'unknown' | 'taken'> {
  try {
    await clientOf(operatorService, client).Hold({ id });
    return 'over';
  } catch (error) {
    const status = statusOf(error);
    if (status === StatusCode.alreadyExists) return 'taken';
    return status === StatusCode.unimplemented ? 'unknown' : 'over';
  }
}

/** Ends the lease and leaves the sandbox as it is. */
export async function releaseSandbox(client: TtrpcClient, id: string): Promise<void> {
  try {
    await clientOf(operatorService, client).Release({ id }, { timeoutMs: CREATE_TIMEOUT_MS });
  } catch (error) {
    throw callError('Release', error);
  }
}

/** StartVM: returns when the agent in the VM answers through the tunnel. */
export async function startVm(socket: string, id: string, signal?: AbortSignal): Promise<void> {
  await hypervisorCall(socket, 'StartVM', hypervisor =>
    hypervisor.StartVM({ id }, { timeoutMs: START_TIMEOUT_MS, signal }),
  );
}

/** StopVM: returns when the instance is deleted. */
export async function stopVm(socket: string, id: string, signal?: AbortSignal): Promise<void> {
  await hypervisorCall(socket, 'StopVM', hypervisor =>
    hypervisor.StopVM({ id }, { timeoutMs: STOP_TIMEOUT_MS, signal }),
  );
}

/** One connection per call, as the Go shim does it: StopVM then works whatever became of an earlier connection. */
async function hypervisorCall<T>(
  socket: string,
  method: string,
  use: (hypervisor: TypedClient<typeof hypervisorService>) => Promise<T>,
): Promise<T> {
  const client = await connectHypervisor(socket);
  try {
    return await use(clientOf(hypervisorService, client));
  } catch (error) {
    throw callError(method, error);
  } finally {
    client.close();
  }
}

/** A connection to the adaptor's socket; throws ERR_CLI_HYPERVISOR_UNREACHABLE. */
export async function connectHypervisor(socket: string): Promise<TtrpcClient> {
  try {
    return await connectUnix(socket, { timeoutMs: 5_000 });
  } catch (error) {
    // What the system said; the words around it would only repeat the path.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = /^E[A-Z0-9]+$/u.test(codeOf(cause)) ? codeOf(cause) : messageOf(cause);
    throw new CliError('ERR_CLI_HYPERVISOR_UNREACHABLE', `no adaptor at ${socket}: ${why}`, {
      hint: 'start cloud-api-adaptor, or name its -socket; peerpod demo brings one of its own',
      cause,
    });
  }
}

/** What a socket's connection fails with while its server is still starting. */
const NOT_YET: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED']);

/** A connection as soon as something listens on the adaptor's socket, for the line after `cloud-api-adaptor ... &`. */
export async function awaitHypervisor(
  socket: string,
  waitMs: number,
  o: { readonly signal?: AbortSignal; readonly onWait?: () => void } = {},
): Promise<TtrpcClient> {
  const until = performance.now() + waitMs;
  for (let told = false; ; told = true) {
    try {
      return await connectHypervisor(socket);
    } catch (error) {
      const cause = error instanceof Error ? codeOf(error.cause) : '';
      if (!NOT_YET.has(cause) || performance.now() >= until) throw error;
      if (!told) o.onWait?.();
      await sleep(AGAIN_MS, o.signal);
    }
  }
}

/** Connects to the agent's socket with the patience of a shim: 30 s, since the socket may appear a little late. */
export async function connectAgent(path: string, signal: AbortSignal): Promise<TtrpcClient> {
  const until = performance.now() + AGENT_DIAL_MS;
  for (;;) {
    try {
      return await connectUnix(path, { timeoutMs: 5_000, signal });
    } catch (error) {
      if (signal.aborted || statusOf(error) !== undefined || performance.now() > until) {
        throw new CliError('ERR_CLI_AGENT_UNREACHABLE', `the agent's socket ${path} does not answer`, {
          hint: messageOf(error),
          cause: error,
        });
      }
      await sleep(AGAIN_MS, signal);
    }
  }
}
