// SPDX-License-Identifier: Apache-2.0
// What a relay does with each frame from its upstream: whose call it answers, under which id, and what nobody asked for.
// Writes to no stream itself.
import {
  FrameFlag,
  FrameType,
  HEADER_LENGTH,
  looksLikeTls,
  MAX_MESSAGE_LENGTH,
  peekResponseCode,
  StatusCode,
} from '@peerpod-tls/ttrpc/relay';
import type { Call, CallTable } from './call-table.js';
import { PASS, SKIP, STOP, type FrameJudge } from './scanner.js';
import type { RelayObserver } from './types.js';

/** What the upstream's frames may cause. */
export interface ResponsePort {
  answer(downstreamId: number, status: number, text: string): void;
  toDownstream(bytes: Buffer, whole: boolean, more: boolean): void;
  /** The upstream speaks something else; the relay ends. */
  breakOff(reason: string): void;
}

/**
 * Largest frame that is handed to the downstream only once it is here whole, in bytes.
 *
 * Once the head of a response is written to the downstream, the rest must follow or the downstream's framing is broken: nothing
 * can be put in its place, since the length is promised and a filled-up message would read as a good one. So when the
 * upstream is lost inside such a frame, the downstream has to be closed. Up to this size it cannot happen; it covers what an
 * agent answers in ordinary life (output is read in pieces of 32 KiB). Larger ones flow as they come.
 */
export const WHOLE_RESPONSE_BYTES = 64 * 1024;

/** Bytes in which a response's status code is found when it has one. */
const STATUS_HEAD = HEADER_LENGTH + 32;

export class ResponseSide implements FrameJudge {
  readonly #port: ResponsePort;
  readonly #table: CallTable;
  readonly #observer: RelayObserver;
  /** `performance.now()` at the chunk being judged: one reading of the clock for all its responses. */
  now = 0;

  constructor(port: ResponsePort, table: CallTable, observer: RelayObserver) {
    this.#port = port;
    this.#table = table;
    this.#observer = observer;
  }

  judge(bytes: Buffer, offset: number, available: number): number {
    const length = bytes.readUInt32BE(offset);
    const id = bytes.readUInt32BE(offset + 4);
    const type = bytes[offset + 8];
    const call = this.#table.byUpstream(id);
    if (length > MAX_MESSAGE_LENGTH) {
      if (!looksLikeTls(bytes.subarray(offset, offset + available))) return this.#oversize(call, length);
      this.#port.breakOff('the called side speaks TLS to a plain link');
      return STOP;
    }
    if (type !== FrameType.response && type !== FrameType.data)
      return this.#drop('a frame of an unexpected type from the called side');
    if (call === undefined) return this.#drop('an answer nobody asked for');
    const total = HEADER_LENGTH + length;
    if (available < total && total <= WHOLE_RESPONSE_BYTES) return total;
    if (available < STATUS_HEAD && available < total) return STATUS_HEAD;
    if (call.downstreamId !== id) bytes.writeUInt32BE(call.downstreamId, offset + 4);
    if (type === FrameType.response) this.#end(call, bytes, offset + HEADER_LENGTH, offset + available);
    else if (((bytes[offset + 9] ?? 0) & FrameFlag.remoteClosed) !== 0) this.#end(call, bytes, 0, 0);
    return PASS;
  }

  take(): void {
    throw new Error('internal error: a response was to be taken');
  }

  forward(bytes: Buffer, whole: boolean, more: boolean): void {
    this.#port.toDownstream(bytes, whole, more);
  }

  #end(call: Call, bytes: Buffer, from: number, to: number): void {
    this.#table.remove(call);
    const { callEnded } = this.#observer;
    if (callEnded === undefined) return;
    const status =
      from === to ? StatusCode.ok : (peekResponseCode(bytes.subarray(from, to)) ?? StatusCode.unknown);
    callEnded.call(this.#observer, call.plan.service, call.plan.method, status, this.now - call.since);
  }

  #oversize(call: Call | undefined, length: number): number {
    if (call !== undefined) {
      this.#table.remove(call);
      const { service, method } = call.plan;
      this.#observer.callEnded?.(service, method, StatusCode.resourceExhausted, this.now - call.since);
      const text = `the answer of ${length} bytes is over the limit of ${MAX_MESSAGE_LENGTH}`;
      this.#port.answer(call.downstreamId, StatusCode.resourceExhausted, text);
    }
    return this.#drop('an oversized frame from the called side');
  }

  #drop(reason: string): number {
    this.#observer.protocolError?.(reason);
    return SKIP;
  }
}
