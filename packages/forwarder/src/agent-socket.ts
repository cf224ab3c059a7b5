// SPDX-License-Identifier: Apache-2.0
// Opens the agent's Unix socket, waiting for an agent that is not there yet, and says what it means when it cannot be
// reached. Speaks no ttrpc.
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { abortReason, Backoff, codeOf, messageOf, sleep } from '@peerpod-tls/base';
import { lentConnection, type LentReads } from '@peerpod-tls/link';
import type { Logger } from 'pino';

import { socketAddress } from './abstract-socket.js';
import { ForwarderError } from './errors.js';

const FIRST_WAIT_MS = 25;
const LONGEST_WAIT_MS = 500;
/** The kernel's list of Unix sockets, with the names they were bound to. */
const UNIX_SOCKETS = '/proc/net/unix';
/** Flags of a listening socket in it (`__SO_ACCEPTCON`). */
const LISTENS = '00010000';
/** How often it is looked at while an agent is missing: the first time, and then now and then. */
const TRIES_PER_LOOK = 20;

const OUT_OF_REACH =
  'it listens, but its socket has been removed, as kata-agent does when it creates its sandbox; only a forwarder that was ' +
  'connected before reaches it, so the pod of this VM is lost to this one: delete the pod';

export interface AgentSocketOptions {
  /** As on the command line: a path, or `@name`. */
  readonly agentSocket: string;
  readonly log: Logger;
  /** For tests. */
  readonly unixSockets?: string;
}

export class AgentSocket {
  readonly #o: AgentSocketOptions;
  #reason = 'it was not tried yet';
  #said = '';

  constructor(o: AgentSocketOptions) {
    this.#o = o;
  }

  /** Why the agent could not be reached at the last try. Means something as long as there is no connection. */
  get trouble(): string {
    return `the kata-agent on ${this.#o.agentSocket} takes no connection: ${this.#reason}`;
  }

  /** One new connection to the agent. Tries until the signal is aborted, since an agent that starts late is the rule at boot. */
  async open(signal: AbortSignal): Promise<LentReads<Socket>> {
    const { agentSocket, log } = this.#o;
    const pause = new Backoff({ firstMs: FIRST_WAIT_MS, longestMs: LONGEST_WAIT_MS });
    for (let tries = 0; ; tries += 1) {
      try {
        const socket = await connectOnce(agentSocket, signal);
        log.info({ agentSocket }, 'agent connected');
        this.#said = '';
        this.#reason = 'the one there was is lost';
        return socket;
      } catch (error) {
        if (signal.aborted) throw abortReason(signal);
        if (tries % TRIES_PER_LOOK === 0) await this.#explain(error);
        await sleep(pause.next(), signal);
      }
    }
  }

  /** What a caller is told after this wait. */
  absent(waitedMs: number): ForwarderError {
    const { agentSocket } = this.#o;
    return new ForwarderError(
      'ERR_FORWARDER_AGENT_ABSENT',
      `the kata-agent did not accept a connection on ${agentSocket} within ${waitedMs / 1000} s: ${this.#reason}`,
      { hint: 'look at the agent in the pod VM; the forwarder itself is well' },
    );
  }

  /** Says it once for each thing that stands against it. */
  async #explain(error: unknown): Promise<void> {
    const { agentSocket, log } = this.#o;
    const hidden = codeOf(error) === 'ENOENT' && (await this.#isRemoved());
    const reason = hidden ? OUT_OF_REACH : messageOf(error);
    this.#reason = reason;
    const word = hidden ? 'hidden' : codeOf(error);
    if (this.#said === word) return;
    this.#said = word;
    if (hidden) log.error({ agentSocket, reason }, 'agent out of reach');
    else log.warn({ agentSocket, reason }, 'agent awaited');
  }

  /** Whether somebody listens on a socket of this name that is not in the file system any more. */
  async #isRemoved(): Promise<boolean> {
    try {
      const table = await readFile(this.#o.unixSockets ?? UNIX_SOCKETS, 'utf8');
      return table.split('\n').some(line => {
        const fields = line.trim().split(/\s+/u);
        return fields[3] === LISTENS && fields.slice(7).join(' ') === this.#o.agentSocket;
      });
    } catch {
      return false;
    }
  }
}

function connectOnce(agentSocket: string, signal: AbortSignal): Promise<LentReads<Socket>> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortReason(signal));
    const { onread, reads } = lentConnection();
    const path = socketAddress(agentSocket);
    const socket: Socket = connect({
      path,
      allowHalfOpen: true,
      ...(onread === undefined ? {} : { onread }),
    });
    // Nothing is read before there is a listener.
    socket.pause();
    const settle = (action: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners('error').removeAllListeners('connect');
      action();
    };
    const onAbort = (): void =>
      settle(() => {
        socket.destroy();
        reject(abortReason(signal));
      });
    socket.once('error', error => settle(() => reject(error)));
    socket.once('connect', () => settle(() => resolve(reads(socket))));
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
