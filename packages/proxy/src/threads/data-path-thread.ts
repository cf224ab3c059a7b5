// SPDX-License-Identifier: Apache-2.0
// One data path thread from outside: started, given tasks, ended. Which sandboxes it has, and what follows when it ends by
// itself, is threaded.ts.
import { existsSync } from 'node:fs';
import { Worker, type ResourceLimits } from 'node:worker_threads';
import type { LinkSecurity } from '@peerpod-tls/link';
import { symbols, type Logger } from 'pino';
import { threadLost } from '../errors.js';
import type { EventListener } from '../spec.js';
import type { SecurityVersions } from './held-security.js';
import {
  THREAD_ROLE,
  type FromThread,
  type TaskAnswer,
  type ThreadStart,
  type ThreadTask,
  type ToThread,
} from './messages.js';
import { plainError, revivedError } from '../plain-error.js';

export interface DataPathThreadOptions {
  /** From 1. */
  readonly thread: number;
  readonly security: (material: string) => LinkSecurity | null;
  readonly versions: SecurityVersions;
  readonly onEvent: EventListener;
  /** Called once, when the thread ended without having been told to. */
  readonly onLost: (cause: Error) => void;
  readonly log: Logger;
  readonly limits?: ResourceLimits;
}

interface Waiting {
  resolve(answer: Exclude<TaskAnswer, { t: 'error' }>): void;
  reject(error: Error): void;
}

export class DataPathThread {
  readonly #o: DataPathThreadOptions;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #tasks = 0;
  #told = false;
  #cause: unknown;
  #lost: Error | null = null;

  constructor(o: DataPathThreadOptions) {
    this.#o = o;
    const { level } = o.log;
    const start: ThreadStart = {
      role: THREAD_ROLE,
      thread: o.thread,
      log: { level, bindings: o.log.bindings() },
    };
    this.#worker = new Worker(threadFile(), {
      name: `data path ${o.thread}`,
      workerData: start,
      // The program's flags and words are not for it.
      argv: [],
      ...(o.limits === undefined ? {} : { resourceLimits: o.limits }),
    });
    this.#worker.on('message', (message: FromThread) => this.#hear(message));
    this.#worker.on('error', error => (this.#cause = error));
    this.#worker.once('exit', code => this.#ended(code));
  }

  /** Seconds its event loop has been at work. */
  get busySeconds(): number {
    return this.#worker.performance.eventLoopUtilization().active / 1000;
  }

  /** @throws what the thread met; ProxyError `ERR_PROXY_THREAD_LOST` when it ended instead of answering */
  async run(task: ThreadTask, signal?: AbortSignal): Promise<Exclude<TaskAnswer, { t: 'error' }>> {
    if (this.#lost !== null) throw this.#lost;
    this.#tasks += 1;
    const id = this.#tasks;
    const abort = (): void => this.#tell({ t: 'abort', id });
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#tell({ t: 'task', id, task });
        if (signal?.aborted === true) abort();
        signal?.addEventListener('abort', abort, { once: true });
      });
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#waiting.delete(id);
    }
  }

  /** Ends the thread now, with whatever it still holds. */
  async end(): Promise<void> {
    this.#told = true;
    await this.#worker.terminate();
  }

  #tell(message: ToThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- between threads there is no origin
    this.#worker.postMessage(message);
  }

  #hear(message: FromThread): void {
    switch (message.t) {
      case 'answer': {
        const waiting = this.#waiting.get(message.id);
        if (message.answer.t === 'error') waiting?.reject(revivedError(message.answer));
        else waiting?.resolve(message.answer);
        return;
      }
      case 'event':
        this.#o.onEvent(message.event, message.sandbox);
        return;
      case 'log':
        writeLine(this.#o.log, message.line);
        return;
      case 'security':
        this.#answerSecurity(message.id, message.material, message.known);
        return;
    }
  }

  #answerSecurity(id: number, material: string, known: number): void {
    const { security, versions } = this.#o;
    try {
      this.#tell({ t: 'security', id, security: versions.answer(security(material), known) });
    } catch (error) {
      this.#tell({ t: 'security', id, security: plainError(error) });
    }
  }

  #ended(code: number): void {
    const lost = threadLost(this.#o.thread, this.#cause ?? new Error(`its exit code is ${code}`));
    this.#lost = lost;
    if (!this.#told) this.#o.onLost(lost);
    for (const { reject } of this.#waiting.values()) reject(lost);
    this.#waiting.clear();
  }
}

/** Beside this file; in a bundle, which has no other, the bundle itself, whose beginning asks what it was started as. */
function threadFile(): URL {
  const own = new URL(import.meta.url);
  const beside = new URL(own.pathname.endsWith('.ts') ? './thread-main.ts' : './thread-main.js', own);
  return existsSync(beside) ? beside : own;
}

/** A finished line goes where the logger's own go: it has its time, and was cleaned of secrets, in the thread. */
function writeLine(log: Logger, line: string): void {
  const stream: unknown = Reflect.get(log, symbols.streamSym);
  if (isStream(stream)) stream.write(line);
}

function isStream(stream: unknown): stream is { write(line: string): void } {
  return (
    typeof stream === 'object' && stream !== null && 'write' in stream && typeof stream.write === 'function'
  );
}
