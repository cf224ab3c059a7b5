// SPDX-License-Identifier: Apache-2.0
// StartVM, step by step: certificate, letter, instance, first answer of the agent, socket. It ends with everything
// there, or throws; taking back what a failed start left is sandboxes.ts's.
import { codeOf, reasonOf } from '@peerpod-tls/base';
import { dialUntilHealthy } from '@peerpod-tls/link';
import type { SandboxDeps } from './deps.js';
import { AdaptorError } from '../errors.js';
import { leafFacts } from '@peerpod-tls/trust';
import { writeLetter } from './user-data.js';
import { leftBehind } from '@peerpod-tls/providers';
import type { Instance } from '@peerpod-tls/providers';
import { linkFacts, openProxy } from './open-proxy.js';
import type { SandboxProxy } from '@peerpod-tls/proxy';
import { providerName } from './reap-instance.js';
import { refusalRule } from '@peerpod-tls/proxy';
import { agentSocketPath } from './sandbox-id.js';
import { toRunning, toStarting, withInstance, withLeaf, type Sandbox } from './sandbox.js';

/** Runs a start; resolves with the open proxy. `signal` ends it, whoever lost interest. */
export async function startSandbox(
  deps: SandboxDeps,
  id: string,
  signal: AbortSignal,
): Promise<SandboxProxy> {
  const { table, log } = deps;
  const began = performance.now();
  const sandbox = await table.change(id, row =>
    toStarting(row, linkFacts(deps, row.instanceName), new Date()),
  );
  signal.throwIfAborted();
  const letter = await makeLetter(deps, sandbox);
  signal.throwIfAborted();
  const instance = await createInstance(deps, sandbox, letter, signal);
  signal.throwIfAborted();
  await awaitAgent(deps, sandbox, instance, signal);
  signal.throwIfAborted();
  const proxy = await openProxy(deps, sandbox, instance);
  try {
    signal.throwIfAborted();
    await table.change(id, row => toRunning(row, instance, new Date()));
  } catch (error) {
    await proxy.close();
    throw error;
  }
  log.info(
    {
      sandbox: id,
      pod: podOf(sandbox),
      socket: agentSocketPath(deps.settings.podsDir, id),
      ms: since(began),
    },
    'sandbox started',
  );
  return proxy;
}

const podOf = (sandbox: Sandbox): string => `${sandbox.wish.namespace}/${sandbox.wish.pod}`;
const since = (began: number): number => Math.round(performance.now() - began);

async function makeLetter(deps: SandboxDeps, sandbox: Sandbox): Promise<string> {
  const { identity, settings, provider, table, metrics, log } = deps;
  const began = performance.now();
  const issued = await identity.issue(sandbox.link.serverName);
  if (issued.leaf !== null) {
    const leaf = leafFacts(issued.leaf);
    const ms = since(began);
    await table.change(sandbox.id, row => withLeaf(row, leaf));
    metrics.issued();
    log.info({ sandbox: sandbox.id, ...leaf, names: issued.leaf.names, ms }, 'certificate issued');
  }
  const letter = writeLetter({
    sandbox,
    tls: issued.tls,
    initdata: settings.initdata,
    scratchSpace: settings.scratchSpace,
    maxBytes: provider.limits.userDataBytes,
  });
  log.info({ sandbox: sandbox.id, bytes: letter.bytes, files: letter.files }, 'user-data built');
  return letter.text;
}

async function createInstance(
  deps: SandboxDeps,
  sandbox: Sandbox,
  userData: string,
  signal: AbortSignal,
): Promise<Instance> {
  const { provider, table, log } = deps;
  const { id, wish, state } = sandbox;
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
        podName: wish.pod,
        podNamespace: wish.namespace,
        userData,
        instanceType: wish.instanceType,
        image: wish.image,
        vcpus: wish.vcpus,
        memoryMiB: wish.memoryMiB,
        gpus: wish.gpus,
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
  log.info(
    {
      sandbox: id,
      instance: instance.id,
      name: instance.name,
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

const DIAGNOSE_MS = 1000;

/** Dials until the agent answered Health/Check over a judged link; gives up early on a VM that is known to be dead. */
async function awaitAgent(
  deps: SandboxDeps,
  sandbox: Sandbox,
  instance: Instance,
  signal: AbortSignal,
): Promise<void> {
  const { settings, identity, metrics, log } = deps;
  const dead = new AbortController();
  const watching = watchInstance(deps, instance, dead);
  try {
    const healthy = await dialUntilHealthy({
      host: instance.addresses[0] ?? '',
      port: sandbox.link.port,
      security: identity.security,
      serverName: sandbox.link.serverName,
      signal: AbortSignal.any([signal, dead.signal]),
      deadlineMs: settings.proxyTimeoutMs,
      log,
    });
    const { remote, tls } = healthy.peer;
    log.info(
      {
        sandbox: sandbox.id,
        remote,
        protocol: tls?.protocol ?? 'plain',
        cipher: tls?.cipher ?? 'none',
        subject: tls?.subject ?? '',
        names: tls?.names ?? [],
        fingerprint: tls?.fingerprint ?? '',
        handshakeMs: tls?.handshakeMs ?? 0,
      },
      'link judged',
    );
    log.info(
      {
        sandbox: sandbox.id,
        attempts: healthy.attempts,
        ms: Math.round(healthy.ms),
        lastTryMs: Math.round(healthy.lastTryMs),
      },
      'agent answered',
    );
  } catch (error) {
    const rule = refusalRule(error);
    if (rule !== null) metrics.refused(rule);
    if (dead.signal.aborted && !signal.aborted) throw dead.signal.reason;
    throw error;
  } finally {
    clearInterval(watching);
  }
}

function watchInstance(
  deps: SandboxDeps,
  instance: Instance,
  dead: AbortController,
): NodeJS.Timeout | undefined {
  const { provider, log } = deps;
  if (provider.diagnose === undefined) return undefined;
  let asking = false;
  return setInterval(() => {
    if (asking || dead.signal.aborted) return;
    asking = true;
    provider
      .diagnose?.(instance.id, AbortSignal.timeout(DIAGNOSE_MS * 5))
      .then(({ alive, console }) => {
        if (alive) return;
        const tail = console.trim();
        dead.abort(
          new AdaptorError(
            'ERR_ADAPTOR_INSTANCE_DEAD',
            `the instance ${instance.id} died while it was waited for`,
            {
              hint: tail === '' ? undefined : `its console ended with: ${tail.slice(-2000)}`,
            },
          ),
        );
      })
      .catch((error: unknown) =>
        log.debug(
          { instance: instance.id, reason: reasonOf(error), code: codeOf(error) },
          'instance not diagnosed',
        ),
      )
      .finally(() => {
        asking = false;
      });
  }, DIAGNOSE_MS);
}
