// SPDX-License-Identifier: Apache-2.0
// The AgentService and Health methods, each as a few calls on the sandbox. What this agent cannot do it refuses by name:
// an OK for something that did not happen would be found out at the worst moment.
import { writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { agentMethods, agentService, grpc, healthService } from '@peerpod-tls/agent-protocol';
import { anySignal } from '@peerpod-tls/base';
import { VERSION } from '@peerpod-tls/daemon';
import { implement, type CallContext, type Handlers, type Implementation } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import { sendSignal } from './container.js';
import { statsOf } from './container-stats.js';
import { copyFile } from './copy-file.js';
import { guestDetails, listInterfaces, listRoutes, metrics, volumeStats } from './guest-info.js';
import { failedPrecondition, invalidArgument, notFound, systemError, unimplemented } from './guest-status.js';
import { processOrPause } from './pause.js';
import { planProcess, type PlanContext } from './process-plan.js';
import type { RunDirectory } from './run-directory.js';
import { checkId, type Sandbox } from './sandbox.js';

/** Version of the agent protocol that kata's agents answer with. */
const PROTOCOL_VERSION = '0.0.1';
/** Highest signal number of Linux (signal(7)). */
const MAX_SIGNAL = 64;
/** How long a container may take to stand still, in milliseconds. */
const PAUSE_MS = 5000;

export interface AgentContext {
  readonly sandbox: Sandbox;
  readonly runDirectory: RunDirectory;
  /** Directory that stands for the guest's `/`. */
  readonly root: string;
  /** Environment of the agent. */
  readonly env: NodeJS.ProcessEnv;
  /** Aborts when the agent ends; its reason answers the calls that would wait for ever. */
  readonly ending: AbortSignal;
  /** Told when there is no sandbox any more. */
  readonly sandboxEnded: () => void;
  readonly log: Logger;
}

type AgentHandlers = Partial<Handlers<typeof agentService>>;

/** Both services, ready for a ttrpc server. */
export function agentServices(context: AgentContext): Implementation[] {
  const handlers: AgentHandlers = {
    ...refusals(),
    ...sandboxHandlers(context),
    ...containerHandlers(context),
    ...processHandlers(context),
    ...guestHandlers(context),
  };
  return [
    implement(agentService, handlers),
    implement(healthService, {
      Check: () => ({ status: grpc.HealthCheckResponse.ServingStatus.SERVING }),
      Version: () => ({ grpcVersion: PROTOCOL_VERSION, agentVersion: VERSION }),
    }),
  ];
}

/** A handler for every method, which the real ones then take the place of. */
function refusals(): AgentHandlers {
  const refuse = (method: string) => (): never => {
    throw unimplemented(`peerpod-dev-agent does not do ${method}: it runs processes and manages no machine`);
  };
  return Object.fromEntries(agentMethods.map(method => [method, refuse(method)]));
}

function sandboxHandlers({ sandbox, runDirectory, ending, sandboxEnded, log }: AgentContext): AgentHandlers {
  return {
    CreateSandbox({ sandboxId, dns, storages, kernelModules, guestHookPath }) {
      sandbox.create(sandboxId);
      runDirectory.clear();
      const ignored = { dns: dns.length, storages: storages.length, kernelModules: kernelModules.length };
      log.info(
        { sandbox: sandboxId, ignored: { ...ignored, hooks: guestHookPath !== '' } },
        'sandbox parts ignored',
      );
      return {};
    },
    async DestroySandbox(_request, { deadline }) {
      await sandbox.destroy(deadline);
      sandboxEnded();
      return {};
    },
    SetPolicy({ policy }) {
      log.warn({ bytes: Buffer.byteLength(policy) }, 'policy received and not enforced');
      return {};
    },
    async GetOOMEvent(_request, { signal }) {
      using end = anySignal(signal, ending);
      return await waitForever(end);
    },
  };
}

function containerHandlers(context: AgentContext): AgentHandlers {
  const { sandbox, log } = context;
  return {
    CreateContainer({ containerId, OCI, storages, devices }) {
      const plan = sandbox.add(containerId, () => {
        if (OCI === null || OCI === undefined) throw invalidArgument('the request has no OCI');
        return planProcess(processOrPause(OCI), planContext(context, containerId));
      });
      const ignored = {
        mounts: OCI?.Mounts?.length ?? 0,
        storages: storages.length,
        devices: devices.length,
      };
      log.info(
        { container: plan.id, rootfs: OCI?.Root?.Path ?? '', ignored },
        'container created without isolation',
      );
      return {};
    },
    async StartContainer({ containerId }) {
      await sandbox.container(containerId).start();
      return {};
    },
    async RemoveContainer({ containerId, timeout }, context) {
      const own = timeout === 0 ? null : Date.now() + timeout * 1000;
      await sandbox.remove(containerId, earlier(own, context.deadline));
      return {};
    },
    async PauseContainer({ containerId }, { deadline }) {
      await sandbox.container(containerId).pause(earlier(Date.now() + PAUSE_MS, deadline));
      return {};
    },
    ResumeContainer({ containerId }) {
      signalContainer(sandbox, containerId, constants.signals.SIGCONT);
      return {};
    },
    // Nothing is shared with the worker here, so no mount of a share is stale. A shim asks whenever it stops a container,
    // and fails to delete one that nobody waited for when it is refused.
    RemoveStaleVirtiofsShareMounts: () => ({}),
    StatsContainer: ({ containerId }) => statsOf(sandbox.container(containerId)),
  };
}

function processHandlers(context: AgentContext): AgentHandlers {
  const { sandbox } = context;
  const find = (request: { containerId: string; execId: string }) =>
    sandbox.container(request.containerId).process(request.execId);
  const readFrom =
    (from: 'stdout' | 'stderr') =>
    async (request: grpc.ReadStreamRequest, { signal }: CallContext) => ({
      data: await find(request).read(from, request.len, signal),
    });
  return {
    async ExecProcess({ containerId, execId, process }) {
      checkId('exec_id', execId);
      const container = sandbox.container(containerId);
      await container.exec(execId, planProcess(process, planContext(context, containerId)));
      return {};
    },
    SignalProcess({ containerId, execId, signal }) {
      if (signal < 1 || signal > MAX_SIGNAL)
        throw invalidArgument(`signal ${signal} is not 1 to ${MAX_SIGNAL}`);
      // Without a process id the signal is for everybody in the container.
      if (execId === '') signalContainer(sandbox, containerId, signal);
      else signalOne(find({ containerId, execId }).pid, execId, signal);
      return {};
    },
    WaitProcess: async (request, { signal }) => ({ status: await find(request).wait(signal) }),
    ReadStdout: readFrom('stdout'),
    ReadStderr: readFrom('stderr'),
    async WriteStdin(request, { signal }) {
      await find(request).write(request.data, signal);
      return { len: request.data.length };
    },
    CloseStdin(request) {
      find(request).closeStdin();
      return {};
    },
    TtyWinResize(request) {
      // The pipes that stand in for a terminal have no size that anybody could see.
      if (!find(request).plan.terminal) throw failedPrecondition(`process ${request.execId} has no terminal`);
      return {};
    },
  };
}

function guestHandlers({ sandbox, root }: AgentContext): AgentHandlers {
  return {
    GetGuestDetails: request => guestDetails(request),
    GetMetrics: () => metrics(sandbox),
    ListInterfaces: () => listInterfaces(),
    ListRoutes: () => listRoutes(),
    GetVolumeStats: ({ volumeGuestPath }) => volumeStats(root, volumeGuestPath),
    async CopyFile(request) {
      await copyFile(root, request);
      return {};
    },
    async ReseedRandomDev({ data }) {
      // Anybody may add to the kernel's pool; it counts as no entropy, which is what it is worth.
      await writeFile('/dev/urandom', data, { flag: 'r+' }).catch((error: unknown) => {
        throw systemError('cannot reseed the random device', error);
      });
      return {};
    },
  };
}

function planContext({ sandbox, root, env }: AgentContext, containerId: string): PlanContext {
  return { root, env, mark: sandbox.markOf(containerId) };
}

function signalContainer(sandbox: Sandbox, containerId: string, signal: number): void {
  try {
    sandbox.container(containerId).signalAll(signal);
  } catch (error) {
    throw error instanceof Error && 'syscall' in error ? systemError('cannot signal', error) : error;
  }
}

function signalOne(pid: number | null, id: string, signal: number): void {
  try {
    if (pid !== null && sendSignal(pid, signal)) return;
  } catch (error) {
    throw systemError(`cannot signal process ${id}`, error);
  }
  throw notFound(`process ${id} is not running`);
}

function earlier(a: number, b: number | null): number;
function earlier(a: number | null, b: number | null): number | null;
function earlier(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

/** There is no cgroup to report an out-of-memory kill, so the event never comes. */
function waitForever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
