// SPDX-License-Identifier: Apache-2.0
// StartVM, step by step: certificate, user-data, instance, first answer of the agent, socket. It ends with everything
// there, or throws; taking back what a failed start left is sandboxes.ts's.
import { abortable, reasonOf } from '@peerpod-tls/base';
import { leftBehind, type Instance } from '@peerpod-tls/providers';
import type { SandboxDeps } from './deps.js';
import { AdaptorError } from '../errors.js';
import type { StartPhase } from '../metrics.js';
import { leafFacts } from '@peerpod-tls/trust';
import { logOf } from './log-of.js';
import { linkFacts, proxySpec } from './proxy-spec.js';
import { providerName } from './reap-instance.js';
import { agentSocketPath, checkSandboxDirectory } from './sandbox-id.js';
import { toFailed, toRunning, toStarting, withInstance, withLeaf, type Sandbox } from './sandbox.js';
import { writeUserData } from './user-data.js';
import { watchInstance } from './watch-instance.js';

/** Runs a start; the sandbox is running and its socket open when it resolves. `signal` ends it, whoever lost interest. */
export async function startSandbox(deps: SandboxDeps, id: string, signal: AbortSignal): Promise<void> {
  const { table, dataPath, metrics } = deps;
  const began = performance.now();
  const sandbox = await table.change(id, row =>
    toStarting(row, linkFacts(deps, row.instanceName), new Date()),
  );
  const phase = async <T>(name: StartPhase, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    const from = performance.now();
    const result = await work();
    metrics.phase(name, performance.now() - from);
    return result;
  };
  await requireProvider(deps, id, signal);
  const userData = await phase('certificate', () => makeUserData(deps, sandbox));
  const instance = await phase('instance', () => createInstance(deps, sandbox, userData, signal));
  await phase('agent', () => awaitAgent(deps, sandbox, instance, signal));
  checkSandboxDirectory(deps.settings.podsDir, id);
  await phase('socket', () => dataPath.open(proxySpec(deps, sandbox, instance)));
  try {
    signal.throwIfAborted();
    await table.change(id, row => toRunning(row, instance, new Date()));
  } catch (error) {
    await dataPath.close(id);
    throw error;
  }
  logOf(deps, sandbox).info(
    { socket: agentSocketPath(deps.settings.podsDir, id), ms: since(began) },
    'sandbox started',
  );
}

const since = (began: number): number => Math.round(performance.now() - began);

async function makeUserData(deps: SandboxDeps, sandbox: Sandbox): Promise<string> {
  const { identity, settings, provider, table, metrics } = deps;
  const log = logOf(deps, sandbox);
  const began = performance.now();
  const issued = await identity.issue(sandbox.link.serverName);
  if (issued.leaf !== null) {
    const leaf = leafFacts(issued.leaf);
    const ms = since(began);
    await table.change(sandbox.id, row => withLeaf(row, leaf));
    metrics.issued();
    log.info({ ...leaf, names: issued.leaf.names, ms }, 'certificate issued');
  }
  const userData = writeUserData({
    sandbox,
    tls: issued.tls,
    initdata: settings.initdata,
    scratchSpace: settings.scratchSpace,
    maxBytes: provider.limits.userDataBytes,
  });
  log.info({ bytes: userData.bytes, files: userData.files }, 'user-data built');
  return userData.text;
}

async function createInstance(
  deps: SandboxDeps,
  sandbox: Sandbox,
  userData: string,
  signal: AbortSignal,
): Promise<Instance> {
  const { provider, table } = deps;
  const { id, spec, state } = sandbox;
  if (state.t !== 'starting') throw new Error(`internal error: sandbox ${id} is ${state.t}, not starting`);
  const began = performance.now();
  const name = providerName(sandbox, provider);
  const { token } = state;
  let instance: Instance;
  try {
    instance = await provider.createInstance(
      {
        sandbox: id,
        name,
        podName: spec.pod,
        podNamespace: spec.namespace,
        userData,
        instanceType: spec.instanceType,
        image: spec.image,
        vcpus: spec.vcpus,
        memoryMiB: spec.memoryMiB,
        gpus: spec.gpus,
      },
      { token, signal },
    );
  } catch (error) {
    const left = leftBehind(error);
    if (left !== null) await table.force(id, row => withInstance(row, left));
    throw error;
  }
  const { addresses } = instance;
  // Noted before anything else can fail: from here on a crash finds it by its id.
  const unsaved = await table.force(id, row =>
    withInstance(row, { id: instance.id, name: instance.name, addresses }),
  );
  if (unsaved !== undefined) throw unsaved;
  logOf(deps, sandbox).info(
    {
      instance: instance.id,
      instanceName: instance.name,
      addresses,
      ms: since(began),
    },
    'instance created',
  );
  if ((addresses[0] ?? '') === '') {
    throw new AdaptorError('ERR_ADAPTOR_NO_ADDRESS', `the instance ${instance.id} has no address to dial`);
  }
  return instance;
}

/** Asks before anything is made: a platform that is not there has nothing of this start, so there is nothing to delete. */
async function requireProvider(
  { providerWatch, table }: SandboxDeps,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await abortable(providerWatch.require(), signal);
  } catch (error) {
    await table.force(id, row => toFailed(row, reasonOf(error), true, new Date()));
    throw error;
  }
}

/** Dials until the agent answered Health/Check over a verified link; gives up early on a VM that is known to be dead. */
async function awaitAgent(
  deps: SandboxDeps,
  sandbox: Sandbox,
  instance: Instance,
  signal: AbortSignal,
): Promise<void> {
  const { settings, dataPath } = deps;
  const log = logOf(deps, sandbox);
  using watched = watchInstance(deps, instance, signal);
  try {
    const { attempts, ms, lastTryMs, ...peer } = await dataPath.awaitAgent(
      proxySpec(deps, sandbox, instance),
      { deadlineMs: settings.proxyTimeoutMs, signal: watched.signal },
    );
    log.info(peer, 'link verified');
    log.info({ attempts, ms, lastTryMs }, 'agent answered');
  } catch (error) {
    throw watched.death() ?? error;
  }
}
