// SPDX-License-Identifier: Apache-2.0
// One call a server is at: its context, the messages that wait for its handler, its deadline. Which calls there are
// and what is sent for them is the connection's business.
import type { BoundMethod } from './bound-method.js';
import { CallState } from './call-context.js';
import type { RequestEnvelope } from './envelope.js';
import { StatusError } from './errors.js';
import { FrameFlag } from './frame.js';
import { Inbox } from './inbox.js';
import type { Ledger } from './inbox.js';
import { StatusCode } from './status.js';
import { startTimer } from '@peerpod-tls/base';

export class OpenCall {
  readonly id: number;
  readonly state: CallState;
  readonly unary: boolean;
  /** Messages for the handler; null when the method takes one only. */
  readonly inbox: Inbox | null;
  /** What the handler is given. */
  readonly input: Uint8Array | Inbox;
  readonly #cancelDeadline: (() => void) | null;

  /** @param expired called after the deadline, when the handler has had its chance to answer in its own words */
  constructor(o: {
    id: number;
    request: RequestEnvelope;
    flags: number;
    kind: BoundMethod['kind'];
    peer: unknown;
    ledger: Ledger;
    expired(call: OpenCall, reason: StatusError): void;
  }) {
    const { request, kind } = o;
    // A negative time stands for a deadline that has passed; the timer then fires at once.
    const timeoutMs = request.timeoutNano === 0n ? null : Number(request.timeoutNano) / 1e6;
    this.id = o.id;
    this.unary = kind === 'unary';
    this.state = new CallState(request, timeoutMs === null ? null : Date.now() + timeoutMs, o.peer);
    this.inbox = kind === 'client-stream' || kind === 'bidi' ? new Inbox(o.ledger) : null;
    this.input = this.inbox === null ? request.payload : this.#fill(this.inbox, request.payload, o.flags);
    this.#cancelDeadline =
      timeoutMs === null
        ? null
        : startTimer(timeoutMs, () => {
            const reason = new StatusError(StatusCode.deadlineExceeded, 'context deadline exceeded');
            this.abort(reason);
            // A handler that heeds its signal may answer first; one that does not is not waited for.
            setImmediate(() => o.expired(this, reason));
          });
  }

  /** Tells the handler, through its signal and its messages, that the call is over. */
  abort(reason: StatusError): void {
    this.state.abort(reason);
    this.inbox?.fail(reason);
  }

  /** The call has been answered or given up. */
  close(): void {
    this.#cancelDeadline?.();
  }

  #fill(inbox: Inbox, payload: Uint8Array, flags: number): Inbox {
    // A message may travel in the request itself. An empty one is indistinguishable from none and is taken for none.
    if (payload.length > 0) inbox.push(payload);
    // Without the flag nothing follows: neither after remote closed nor after a request sent as a unary one.
    if ((flags & FrameFlag.remoteOpen) === 0) inbox.close();
    return inbox;
  }
}
