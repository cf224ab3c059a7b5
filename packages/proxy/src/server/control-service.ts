// SPDX-License-Identifier: Apache-2.0
// The control socket: messages of proxy.proto in and out. What they do is the proxy's, proxy-server.ts; what is refused
// travels as a Failure.
import { hostname } from 'node:os';
import { proxyService } from '@peerpod-tls/agent-protocol/proxy';
import { deadline } from '@peerpod-tls/base';
import { commit } from '@peerpod-tls/daemon/version';
import { VERSION } from '@peerpod-tls/daemon';
import {
  implement,
  StatusCode,
  StatusError,
  type CallContext,
  type Implementation,
} from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import {
  agentMessage,
  checkApi,
  CONTROL_API,
  eventMessage,
  failureMessage,
  sandboxViewMessage,
  specOf,
  threadViewMessage,
  type SandboxView,
} from '../control/index.js';
import type { DataPlane } from '../data-plane.js';
import type { AdaptorPresence } from '../front/adaptor-presence.js';
import type { EventLog } from './events.js';
import type { HeldMaterial } from './held-material.js';
import type { OpenSandboxes } from './open-sandboxes.js';
import type { ProxyStore } from './proxy-store.js';
import { readsFigure } from './reads-figure.js';

/** The other end of one connection to the control socket. */
export class ControlPeer {
  /** Why nothing it asks for is done, after a Hello of a release that is too far away. */
  refusal: string | null = null;
}

/** What a proxy says of itself. */
export interface ProxyFacts {
  readonly generation: string;
  readonly startedAt: string;
  readonly socket: string;
  readonly retired: boolean;
  readonly pendingStops: readonly string[];
}

export interface ControlDeps {
  readonly plane: DataPlane;
  readonly sandboxes: OpenSandboxes;
  readonly material: HeldMaterial;
  readonly store: ProxyStore;
  readonly events: EventLog;
  readonly presence: AdaptorPresence;
  readonly facts: () => ProxyFacts;
  /** Resolves when the proxy has opened what it had before. */
  readonly started: Promise<void>;
  readonly onServed: () => void;
  readonly retire: () => Promise<void>;
  /** Sandboxes that are left; whether it stops. */
  readonly stop: (
    now: boolean,
  ) => Promise<{ readonly stopping: boolean; readonly sandboxes: readonly SandboxView[] }>;
  readonly log: Logger;
}

/** No call waits longer, whatever it asks for, in milliseconds. */
const LONGEST_WAIT_MS = 60_000;
const DEFAULT_AWAIT_MS = 300_000;

export function controlService(deps: ControlDeps): Implementation {
  const { plane, sandboxes, material, store, events, presence, log } = deps;
  const ready = async ({ peer }: CallContext): Promise<void> => {
    const refusal = peer instanceof ControlPeer ? peer.refusal : null;
    if (refusal !== null) throw new StatusError(StatusCode.failedPrecondition, refusal);
    await deps.started;
  };
  return implement(proxyService, {
    Hello: async ({ api, program, version, serves }, context) => {
      const { peer } = context;
      if (peer instanceof ControlPeer) peer.refusal = null;
      try {
        checkApi(api, `${program} ${version}`.slice(0, 200));
      } catch (error) {
        // It is answered: who calls finds out by itself what stands between the two.
        log.warn({ err: error, api }, 'program of another release refused');
        if (peer instanceof ControlPeer) peer.refusal = failureMessage(error).message;
      }
      await deps.started;
      if (serves && peer instanceof ControlPeer && peer.refusal === null && !context.signal.aborted) {
        presence.arrived(peer);
        log.info({ program: program.slice(0, 100), version: version.slice(0, 100) }, 'adaptor serves');
        deps.onServed();
      }
      const { generation, startedAt, socket, retired, pendingStops } = deps.facts();
      return {
        api: CONTROL_API,
        version: VERSION,
        commit: commit(),
        generation,
        pid: process.pid,
        startedAt,
        socket,
        adaptorSocket: store.files.adaptorSocket,
        retired,
        sandboxes: sandboxes.size,
        pendingStops: [...pendingStops],
        node: hostname(),
      };
    },

    SetMaterial: async ({ material: given }, context) => {
      await ready(context);
      try {
        if (!material.take(given)) return {};
      } catch (error) {
        log.error({ err: error }, 'material refused, the one before stays in force');
        return { failure: failureMessage(error) };
      }
      log.info({ material: given?.name }, 'material in force');
      // One that cannot be written down works all the same; an adaptor tells it again to a proxy that was killed.
      await store.keepMaterial(given ?? {}).catch((err: unknown) => {
        log.error({ err }, 'material not written down, a proxy that is killed will not have it');
      });
      return {};
    },

    AwaitAgent: async ({ spec, deadlineMs }, context) => {
      await ready(context);
      try {
        const ms = deadlineMs > 0 ? deadlineMs : DEFAULT_AWAIT_MS;
        return { agent: agentMessage(await sandboxes.awaitAgent(specOf(spec), ms, context.signal)) };
      } catch (error) {
        return { failure: failureMessage(error) };
      }
    },

    Open: async ({ spec }, context) => {
      await ready(context);
      try {
        await sandboxes.open(specOf(spec));
        return {};
      } catch (error) {
        return { failure: failureMessage(error) };
      }
    },

    Close: async ({ sandbox }, context) => {
      await ready(context);
      await sandboxes.close(sandbox);
      return {};
    },

    List: async (_, context) => {
      await ready(context);
      const [views, threads] = await Promise.all([sandboxes.views(), plane.threads()]);
      return { sandboxes: views.map(sandboxViewMessage), threads: threads.map(threadViewMessage) };
    },

    Watch: async ({ after, process, waitMs }, context) => {
      await ready(context);
      using until = deadline(Math.min(waitMs, LONGEST_WAIT_MS), context.signal);
      const since = await events.since(after, process, until);
      return { ...since, events: since.events.map(eventMessage) };
    },

    Statistics: async (_, context) => {
      await ready(context);
      return { text: `${await plane.figures()}${readsFigure()}` };
    },

    Retire: async (_, context) => {
      await ready(context);
      await deps.retire();
      return {};
    },

    Stop: async ({ now }, context) => {
      await ready(context);
      const { stopping, sandboxes: left } = await deps.stop(now);
      return { stopping, sandboxes: left.map(sandboxViewMessage) };
    },
  });
}
