// SPDX-License-Identifier: Apache-2.0
// An agent written by somebody hostile: it answers as a test tells it, frame by frame and byte by byte.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { decodeRequest, encodeFrame, encodeResponse, FrameDecoder, FrameType } from '@peerpod-tls/ttrpc';
import type { Teardown } from './program.js';

export interface RawCall {
  readonly method: string;
  readonly streamId: number;
  readonly socket: Socket;
  /** The answer this call should have had. */
  readonly proper: Buffer;
}

/** HealthCheckResponse with status SERVING. */
const SERVING = Buffer.from([8, 1]);

/** A response frame without a status, as a server writes a good answer. */
export function responseFrame(streamId: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  return encodeFrame({ streamId, type: FrameType.response }, encodeResponse({ status: null, payload }));
}

/** A frame header by hand: our own writer refuses what a test needs to send. */
export function header(length: number, streamId: number, type: number, flags = 0): Buffer {
  const bytes = Buffer.alloc(10);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(streamId, 4);
  bytes.writeUInt8(type, 8);
  bytes.writeUInt8(flags, 9);
  return bytes;
}

/** Answers every call properly, unless `on` has something else to do for its method. */
export async function startRawAgent(
  t: Teardown,
  path: string,
  on: Readonly<Record<string, (call: RawCall) => void>>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket.once('close', () => sockets.delete(socket)));
    socket.on('error', () => {});
    const decoder = new FrameDecoder();
    socket.on('data', (chunk: Buffer) => {
      decoder.push(chunk);
      for (let next = decoder.next(); next !== null; next = decoder.next()) {
        if (next.t !== 'frame') continue;
        const { streamId, payload } = next;
        const { method } = decodeRequest(payload);
        const proper = responseFrame(streamId, method === 'Check' ? SERVING : undefined);
        const misbehave = on[method];
        if (misbehave === undefined) socket.write(proper);
        else misbehave({ method, streamId, socket, proper });
      }
    });
  }).listen(path);
  await once(server, 'listening');
  t.teardown(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
}
