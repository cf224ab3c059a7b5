// SPDX-License-Identifier: Apache-2.0
// Opens the agent's Unix socket for one link, waiting for an agent that is not there yet. Speaks no ttrpc.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Logger } from 'pino';

import { socketAddress } from './abstract-socket.js';
import { ForwarderError } from './errors.js';

const FIRST_WAIT_MS = 25;
const LONGEST_WAIT_MS = 500;
/** Longest that a look at the agent for readiness takes, in milliseconds. */
const PROBE_MS = 1_000;

export interface AgentBackendOptions {
  /** As on the command line: a path, or `@name`. */
  readonly agentSocket: string;
  /** Milliseconds to wait for the socket. */
  readonly timeoutMs: number;
  readonly log: Logger;
}

export interface AgentBackend {
  /**
   * One new connection to the agent. Tries until the time is over, since an agent that starts late is the rule at boot.
   * @throws ForwarderError ERR_FORWARDER_AGENT_ABSENT; the signal's reason when it is aborted
   */
  open(signal: AbortSignal): Promise<Socket>;
  /** One attempt, for readiness: null when the agent takes a connection, else why it does not. */
  trouble(): Promise<string | null>;
}

export function agentBackend(options: AgentBackendOptions): AgentBackend {
  const { agentSocket, timeoutMs, log } = options;
  let awaited = false;

  async function open(signal: AbortSignal): Promise<Socket> {
    const end = performance.now() + timeoutMs;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      try {
        const socket = await connectOnce(agentSocket, signal);
        if (awaited) log.info({ agentSocket }, 'agent found');
        awaited = false;
        return socket;
      } catch (error) {
        signal.throwIfAborted();
        const reason = error instanceof Error ? error.message : String(error);
        // Many links may be waiting: the first to find the agent missing says so for all.
        if (!awaited) log.warn({ agentSocket, reason }, 'agent awaited');
        awaited = true;
        const left = end - performance.now();
        if (left <= 0) throw absent(agentSocket, timeoutMs, error);
        await sleep(Math.min(wait, left), undefined, { signal });
      }
    }
  }

  async function trouble(): Promise<string | null> {
    try {
      (await connectOnce(agentSocket, AbortSignal.timeout(PROBE_MS))).destroy();
      return null;
    } catch (error) {
      return `the kata-agent on ${agentSocket} takes no connection: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  return { open, trouble };
}

function absent(agentSocket: string, timeoutMs: number, cause: unknown): ForwarderError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ForwarderError(
    'ERR_FORWARDER_AGENT_ABSENT',
    `the kata-agent did not accept a connection on ${agentSocket} within ${timeoutMs / 1000} s: ${reason}`,
    { hint: 'look at the agent in the pod VM; the forwarder itself is well', cause },
  );
}

function connectOnce(agentSocket: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({ path: socketAddress(agentSocket), allowHalfOpen: true });
    const settle = (action: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners('error').removeAllListeners('connect');
      action();
    };
    const onAbort = (): void =>
      settle(() => {
        socket.destroy();
        reject(signal.reason as Error);
      });
    socket.once('error', error => settle(() => reject(error)));
    socket.once('connect', () => settle(() => resolve(socket)));
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
