// SPDX-License-Identifier: Apache-2.0
// A data path thread from inside: a data plane that is driven by messages. It holds the sockets, the links and, once it
// was told, what to dial with; it reads no file, no flag and no environment.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { createLogger } from '@peerpod-tls/daemon';
import type { LinkSecurity } from '@peerpod-tls/link';
import { InProcessDataPlane } from '../in-process.js';
import { SecurityHolder } from './held-security.js';
import {
  THREAD_ROLE,
  type FromThread,
  type TaskAnswer,
  type ThreadStart,
  type ThreadTask,
  type ToThread,
} from './messages.js';
import { plainError, revivedError, type PlainError } from '../plain-error.js';
import type { HeldSecurity } from './held-security.js';

/** Serves the thread that started this one, for as long as it lives. */
export function serveThread(): void {
  if (parentPort === null || !isThreadStart(workerData))
    throw new Error('internal error: this is no data path thread');
  new ThreadServer(parentPort, workerData).serve();
}

function isThreadStart(data: unknown): data is ThreadStart {
  return typeof data === 'object' && data !== null && 'role' in data && data.role === THREAD_ROLE;
}

class ThreadServer {
  readonly #port: MessagePort;
  readonly #plane: InProcessDataPlane;
  readonly #running = new Map<number, AbortController>();
  readonly #holders = new Map<string, SecurityHolder>();
  readonly #asked = new Map<number, (told: HeldSecurity | PlainError) => void>();
  #questions = 0;

  constructor(port: MessagePort, { thread, log }: ThreadStart) {
    this.#port = port;
    const { name, pid: _, ...bindings } = log.bindings;
    const logger = createLogger({
      name: typeof name === 'string' ? name : '',
      level: log.level,
      // The driving thread writes them, so that lines of several threads never mix and have its format.
      destination: { write: line => this.#tell({ t: 'log', line }) },
    });
    this.#plane = new InProcessDataPlane({
      thread,
      security: material => this.#security(material),
      onEvent: (event, sandbox) => this.#tell({ t: 'event', event, sandbox }),
      log: logger.child({ ...bindings, thread }),
    });
  }

  serve(): void {
    this.#port.on('message', (message: ToThread) => {
      switch (message.t) {
        case 'task':
          void this.#run(message.id, message.task);
          return;
        case 'abort':
          this.#running.get(message.id)?.abort();
          return;
        case 'security':
          this.#asked.get(message.id)?.(message.security);
          this.#asked.delete(message.id);
          return;
      }
    });
  }

  #tell(message: FromThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- between threads there is no origin
    this.#port.postMessage(message);
  }

  async #run(id: number, task: ThreadTask): Promise<void> {
    const caller = new AbortController();
    this.#running.set(id, caller);
    const answer = await this.#answer(task, caller.signal).catch((error: unknown) => plainError(error));
    this.#running.delete(id);
    this.#tell({ t: 'answer', id, answer });
  }

  async #answer(task: ThreadTask, signal: AbortSignal): Promise<TaskAnswer> {
    switch (task.t) {
      case 'await-agent': {
        const { spec, deadlineMs } = task;
        return { t: 'agent', agent: await this.#plane.awaitAgent(spec, { deadlineMs, signal }) };
      }
      case 'open':
        await this.#plane.open(task.spec);
        return { t: 'done' };
      case 'close':
        await this.#plane.close(task.sandbox);
        return { t: 'done' };
      case 'drain':
        await this.#plane.drain(signal);
        return { t: 'done' };
      case 'look':
        return {
          t: 'look',
          look: { views: await this.#plane.views(), calls: this.#plane.callFigures() },
        };
    }
  }

  async #security(material: string): Promise<LinkSecurity | null> {
    let holder = this.#holders.get(material);
    if (holder === undefined) {
      holder = new SecurityHolder();
      this.#holders.set(material, holder);
    }
    this.#questions += 1;
    const id = this.#questions;
    const told = new Promise<HeldSecurity | PlainError>(resolve => this.#asked.set(id, resolve));
    this.#tell({ t: 'security', id, material, known: holder.version });
    const security = await told;
    if (security.t === 'error') throw revivedError(security);
    return holder.take(security);
  }
}
