// SPDX-License-Identifier: Apache-2.0
// The near end of a relay, as long as the relay lives: what it says, how it is answered, how it is left. What its frames
// mean is decided in request-side.ts.
import type { Duplex } from 'node:stream';
import { encodeFrame, encodeResponse, FrameType } from '@peerpod-tls/ttrpc/relay';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { endSoon, onClose, streamOf } from './end-stream.js';
import { Flow } from './flow.js';
import { Outlet } from './outlet.js';

/** What a downstream causes. None of it before the turn it was made in is over. */
export interface DownstreamPort {
  bytes(chunk: Buffer): void;
  /** Its write queue is empty again. */
  drained(): void;
  /** It will say no more, and may still read. */
  ended(): void;
  /** It is gone. May come more than once. */
  closed(error?: Error): void;
}

export class Downstream {
  readonly stream: Duplex;
  readonly outlet: Outlet;
  readonly flow: Flow;

  constructor(end: Duplex | VerifiedPeer, port: DownstreamPort) {
    const stream = streamOf(end);
    this.stream = stream;
    this.outlet = new Outlet(stream);
    this.flow = new Flow(stream);
    stream.on('data', (chunk: Buffer) => port.bytes(chunk));
    stream.on('drain', () => port.drained());
    stream.once('end', () => port.ended());
    stream.on('error', error => port.closed(error));
    onClose(stream, () => port.closed());
    if (stream.destroyed) queueMicrotask(() => port.closed());
  }

  /** Answers one of its streams with a status, as soon as a frame may begin. */
  answer(downstreamId: number, status: number, text: string): void {
    const response = encodeResponse({
      status: { code: status, message: text, details: [] },
      payload: new Uint8Array(0),
    });
    this.outlet.insert(encodeFrame({ streamId: downstreamId, type: FrameType.response }, response));
  }

  /** Ends it kindly, save inside a response: one that cannot be completed must not look like one, so the stream is cut. */
  leave(): void {
    if (this.outlet.midFrame) this.stream.destroy();
    else endSoon(this.stream);
  }
}
