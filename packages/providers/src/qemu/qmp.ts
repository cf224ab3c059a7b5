// SPDX-License-Identifier: Apache-2.0
// One conversation with a running qemu over its monitor socket (QMP): a line of JSON each way. What is said is the
// caller's.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';

import { ProviderError } from '../errors.js';

/** A reply of qemu's is a few kilobytes. */
const MAX_LINE = 1 << 20;

export interface Qmp {
  /**
   * Executes a command and gives what it returned.
   * @throws ProviderError ERR_PROVIDER_CREATE when qemu refuses it, or closes the connection first
   */
  execute(command: string): Promise<unknown>;
  close(): void;
}

/** Connects and leaves the negotiation mode. Rejects with the connection's own error, or the signal's reason. */
export async function connectQmp(path: string, signal: AbortSignal): Promise<Qmp> {
  const socket = connect(path);
  const onAbort = (): void => void socket.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await once(socket, 'connect', { signal });
    const talk = new Conversation(socket);
    await talk.line();
    await talk.execute('qmp_capabilities');
    return talk;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw error;
  }
}

class Conversation implements Qmp {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    let seen = 0;
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.length;
      if (seen > MAX_LINE) socket.destroy();
    });
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  async line(): Promise<Record<string, unknown>> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new ProviderError('ERR_PROVIDER_CREATE', 'qemu closed its monitor');
    const message: unknown = JSON.parse(value);
    return typeof message === 'object' && message !== null ? { ...message } : {};
  }

  async execute(command: string): Promise<unknown> {
    this.#socket.write(`${JSON.stringify({ execute: command })}\n`);
    for (;;) {
      const message = await this.line();
      if ('return' in message) return message['return'];
      if ('error' in message) {
        throw new ProviderError(
          'ERR_PROVIDER_CREATE',
          `qemu refused ${command}: ${JSON.stringify(message['error'])}`,
        );
      }
      // Anything else is an event.
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
