// SPDX-License-Identifier: Apache-2.0
// What the forwarder changes in a request, and does in the guest before the agent sees it. The bytes themselves are
// rewritten in agent-protocol; carrying them is the relay's.
import {
  agentServiceName,
  viewCreateContainer,
  withNetworkNamespace,
  withoutSandboxDns,
} from '@peerpod-tls/agent-protocol/wire';
import type { CreateContainerView } from '@peerpod-tls/agent-protocol/wire';
import type { Rewrite, RewriteContext, RewriteOutcome } from '@peerpod-tls/link';
import { StatusCode } from '@peerpod-tls/ttrpc/relay';
import type { Logger } from 'pino';

import { ensureDirectory, hostilePath, rooted } from './guest-directory.js';
import { waitForMount } from './mountpoints.js';

/** Sources of volumes that something else mounts in the guest: comma-separated paths, blanks and empty pieces allowed. */
const TARGET_PATHS = 'io.confidentialcontainers.org.peerpodvolumes.target_path';
/** Volumes an adaptor wants formatted and mounted from raw disks, as JSON. */
const CLOUD_VOLUMES = 'io.confidentialcontainers.org.cloud_volumes';
/** A container has tens of mounts; more than this is an attack on the guest's file system. */
const MAX_MOUNTS = 4096;
/** Upstream's three minutes, in milliseconds. */
const MOUNT_TIMEOUT_MS = 180_000;

export interface RewriteOptions {
  /** Path of the pod's network namespace; empty: requests keep theirs. */
  readonly podNamespace: string;
  /** Where the guest's paths begin. */
  readonly guestRoot: string;
  readonly log: Logger;
  /** Milliseconds a listed mount may take to appear. Default 180 000, upstream's. */
  readonly mountTimeoutMs?: number;
  /** The kernel's list of mounts. Default `/proc/self/mountinfo`. */
  readonly mountinfo?: string;
}

/** The two rewrites of the forwarder. */
export function forwarderRewrites(options: RewriteOptions): readonly Rewrite[] {
  return [
    {
      service: agentServiceName,
      method: 'CreateContainer',
      apply: (message, context) => rewriteCreateContainer(message, context, options),
    },
    // The guest's resolver belongs to the guest: the shim's would cut it off from its own network.
    { service: agentServiceName, method: 'CreateSandbox', apply: message => withoutSandboxDns(message) },
  ];
}

type Refused = Extract<RewriteOutcome, { t: 'refused' }>;

async function rewriteCreateContainer(
  message: Buffer,
  context: RewriteContext,
  options: RewriteOptions,
): Promise<RewriteOutcome> {
  const read = viewCreateContainer(message);
  if (read.t === 'refused') return read;
  const { view } = read;
  if (!view.hasOci) return invalid('CreateContainer has no OCI specification');
  if (!view.hasLinux) return invalid('CreateContainer has no Linux section in its OCI specification');
  return (
    refusedVolumes(view) ??
    (await prepareMounts(view, context, options)) ??
    withNetworkNamespace(message, options.podNamespace)
  );
}

/** Starting such a container without its volumes would lose what it writes. */
function refusedVolumes(view: CreateContainerView): Refused | null {
  if ((view.annotations.get(CLOUD_VOLUMES) ?? '') === '') return null;
  return {
    t: 'refused',
    status: StatusCode.failedPrecondition,
    reason: `this forwarder does not mount cloud volumes (annotation ${CLOUD_VOLUMES})`,
  };
}

async function prepareMounts(
  view: CreateContainerView,
  context: RewriteContext,
  options: RewriteOptions,
): Promise<Refused | null> {
  const { guestRoot, log } = options;
  if (view.mounts.length > MAX_MOUNTS)
    return invalid(`CreateContainer has ${view.mounts.length} mounts, more than ${MAX_MOUNTS}`);
  const awaited = targetPaths(view.annotations.get(TARGET_PATHS) ?? '');
  for (const mount of view.mounts) {
    const isAwaited = awaited.has(mount.source);
    if (mount.type !== 'bind' && !isAwaited) continue;
    const hostile = hostilePath(mount.source);
    if (hostile !== null) return invalid(`the source of a mount, ${quoted(mount.source)}, ${hostile}`);
    if (mount.type === 'bind') {
      const ensured = await ensureDirectory(guestRoot, mount.source);
      if (ensured.t === 'made')
        log.info({ source: mount.source, container: view.containerId }, 'mount source made');
      // The agent meets the same path with more rights and reports it in its own words.
      if (ensured.t === 'failed')
        log.warn({ source: mount.source, reason: ensured.reason }, 'mount source not made');
    }
    if (isAwaited && !(await mounted(mount.source, view, context, options))) {
      return {
        t: 'refused',
        status: StatusCode.deadlineExceeded,
        reason: `nothing was mounted on ${quoted(mount.source)} in time (annotation ${TARGET_PATHS})`,
      };
    }
  }
  return null;
}

async function mounted(
  source: string,
  view: CreateContainerView,
  context: RewriteContext,
  options: RewriteOptions,
): Promise<boolean> {
  const { guestRoot, log, mountTimeoutMs, mountinfo } = options;
  const started = performance.now();
  const found = await waitForMount(rooted(guestRoot, source), {
    signal: context.signal,
    timeoutMs: Math.min(mountTimeoutMs ?? MOUNT_TIMEOUT_MS, context.timeoutMs ?? Infinity),
    ...(mountinfo === undefined ? {} : { mountinfo }),
  });
  const fields = { source, container: view.containerId, ms: Math.round(performance.now() - started) };
  if (found) log.info(fields, 'volume mounted');
  else log.warn(fields, 'volume not mounted in time');
  return found;
}

function targetPaths(annotation: string): ReadonlySet<string> {
  return new Set(
    annotation
      .split(',')
      .map(path => path.trim())
      .filter(path => path !== ''),
  );
}

function invalid(reason: string): Refused {
  return { t: 'refused', status: StatusCode.invalidArgument, reason };
}

/** A path a peer chose, made safe and short for a message. */
function quoted(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}
