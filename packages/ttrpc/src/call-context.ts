// SPDX-License-Identifier: Apache-2.0
// What a handler knows about the call it answers. The server makes one per call and ends it; handlers only read.
import type { RequestEnvelope } from './envelope.js';
import type { StatusError } from './errors.js';

export interface CallContext {
  readonly service: string;
  readonly method: string;
  /** Metadata as sent; keys may repeat. */
  readonly metadata: ReadonlyMap<string, readonly string[]>;
  /**
   * Aborted when the deadline passes or nobody is left to answer. The reason is a StatusError; throwing it, or any
   * AbortError, answers with its status.
   */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, in milliseconds since 1970, or null. */
  readonly deadline: number | null;
  /** Whatever was given to `serve` for this connection. */
  readonly peer: unknown;
}

/** The server's side of a context. Signal and metadata are made when first asked for: most handlers never do. */
export class CallState implements CallContext {
  readonly service: string;
  readonly method: string;
  readonly deadline: number | null;
  readonly peer: unknown;
  readonly #pairs: RequestEnvelope['metadata'];
  #metadata: ReadonlyMap<string, readonly string[]> | null = null;
  #controller: AbortController | null = null;
  #reason: StatusError | null = null;

  constructor(request: RequestEnvelope, deadline: number | null, peer: unknown) {
    this.service = request.service;
    this.method = request.method;
    this.deadline = deadline;
    this.peer = peer;
    this.#pairs = request.metadata;
  }

  get metadata(): ReadonlyMap<string, readonly string[]> {
    if (this.#metadata === null) {
      const map = new Map<string, string[]>();
      for (const { key, value } of this.#pairs) {
        const values = map.get(key);
        if (values === undefined) map.set(key, [value]);
        else values.push(value);
      }
      this.#metadata = map;
    }
    return this.#metadata;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Why the call was aborted, or null while it is wanted. */
  get reason(): StatusError | null {
    return this.#reason;
  }

  /** Aborts the signal. Only the first reason counts. */
  abort(reason: StatusError): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
