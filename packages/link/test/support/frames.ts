// SPDX-License-Identifier: Apache-2.0
// Frames and stream ends for relay tests: both ends of a relay in one process, with every byte in sight.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import {
  decodeResponse,
  encodeFrame,
  encodeRequest,
  encodeResponse,
  FrameType,
  HEADER_LENGTH,
  readHeader,
} from '@peerpod-tls/ttrpc';

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const none = new Uint8Array(0);

export interface RequestFrame {
  readonly service?: string;
  readonly method?: string;
  readonly payload?: Uint8Array;
  readonly flags?: number;
}

export function requestFrame(streamId: number, o: RequestFrame = {}): Buffer {
  const { service = 'test.Service', method = 'Do', payload = none, flags = 0 } = o;
  const envelope = encodeRequest({ service, method, payload, timeoutNano: 0n, metadata: [] });
  return encodeFrame({ streamId, type: FrameType.request, flags }, envelope);
}

export function responseFrame(streamId: number, payload: Uint8Array = none): Buffer {
  return encodeFrame({ streamId, type: FrameType.response }, encodeResponse({ status: null, payload }));
}

export function dataFrame(streamId: number, payload: Uint8Array, flags = 0): Buffer {
  return encodeFrame({ streamId, type: FrameType.data, flags }, payload);
}

export interface SeenFrame {
  readonly streamId: number;
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

/** Whole frames in these bytes. Throws when the bytes end inside a frame. */
export function framesIn(bytes: Buffer): SeenFrame[] {
  const frames: SeenFrame[] = [];
  for (let at = 0; at < bytes.length;) {
    const { length, streamId, type, flags } = readHeader(bytes, at);
    const end = at + HEADER_LENGTH + length;
    if (end > bytes.length) throw new Error(`the bytes end inside a frame of stream ${streamId}`);
    frames.push({ streamId, type, flags, payload: bytes.subarray(at + HEADER_LENGTH, end) });
    at = end;
  }
  return frames;
}

/** The frame at this place; throws when there is none. */
export function frameAt(frames: readonly SeenFrame[], index: number): SeenFrame {
  const frame = frames[index];
  if (frame === undefined) throw new Error(`there is no frame ${index}`);
  return frame;
}

/** The status a response frame carries; 0 when it carries none. */
export function statusOf(frame: SeenFrame): { code: number; message: string } {
  const { status } = decodeResponse(frame.payload);
  return { code: status?.code ?? 0, message: status?.message ?? '' };
}

/** One end of an in-memory pair: what is written to it is read at its twin. */
class PairEnd extends Duplex {
  twin: PairEnd | null = null;
  /** Called by the twin's reading when this end's last write may be acknowledged. */
  #acknowledge: (() => void) | null = null;

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    // Receivers own what they read, so the twin gets bytes of its own.
    if (this.twin?.push(Buffer.from(chunk)) === true) callback();
    else this.#acknowledge = callback;
  }

  override _final(callback: () => void): void {
    this.twin?.push(null);
    callback();
  }

  override _read(): void {
    this.twin?.acknowledge();
  }

  acknowledge(): void {
    const callback = this.#acknowledge;
    this.#acknowledge = null;
    callback?.();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const { twin } = this;
    this.twin = null;
    if (twin !== null && !twin.destroyed) setImmediate(() => twin.destroy());
    callback(error);
  }
}

/** Two ends joined in memory, half-open like the sockets they stand for. */
export function streamPair(): [Duplex, Duplex] {
  const a = new PairEnd({ allowHalfOpen: true });
  const b = new PairEnd({ allowHalfOpen: true });
  a.twin = b;
  b.twin = a;
  a.on('error', () => {});
  b.on('error', () => {});
  return [a, b];
}

/** The far end of a stream, held by a test: everything read so far, and waiting for more. */
export class Far {
  readonly stream: Duplex;
  #chunks: Buffer[] = [];
  #length = 0;
  #waiting: (() => void)[] = [];

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#wake();
    });
    stream.once('close', () => this.#wake());
    stream.once('end', () => this.#wake());
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get frames(): SeenFrame[] {
    return framesIn(this.bytes);
  }

  get over(): boolean {
    return this.stream.destroyed || this.stream.readableEnded;
  }

  write(...chunks: Uint8Array[]): void {
    for (const chunk of chunks) this.stream.write(Buffer.from(chunk));
  }

  /** Resolves once this many whole frames are here; throws when the stream ends first. */
  async frameCount(count: number): Promise<SeenFrame[]> {
    for (;;) {
      const frames = this.#wholeFrames();
      if (frames.length >= count) return frames;
      if (this.over) throw new Error(`the stream ended after ${frames.length} frames`);
      await this.#more();
    }
  }

  async byteCount(count: number): Promise<Buffer> {
    while (this.#length < count) {
      if (this.over) throw new Error(`the stream ended after ${this.#length} bytes`);
      await this.#more();
    }
    return this.bytes;
  }

  async ended(): Promise<void> {
    while (!this.over) await this.#more();
  }

  #more(): Promise<void> {
    return new Promise(resolve => void this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #wholeFrames(): SeenFrame[] {
    const { bytes } = this;
    let at = 0;
    while (at + HEADER_LENGTH <= bytes.length) {
      const end = at + HEADER_LENGTH + bytes.readUInt32BE(at);
      if (end > bytes.length) break;
      at = end;
    }
    return framesIn(bytes.subarray(0, at));
  }
}

/** Upstreams made on demand: a relay's `openUpstream` for tests, and the far end of each upstream it opened. */
export class Upstreams {
  readonly opened: Far[] = [];
  /** Set to make opening fail or wait. */
  gate: (attempt: number, signal: AbortSignal) => Promise<void> = () => Promise.resolve();
  attempts = 0;
  #waiting: (() => void)[] = [];

  readonly open = async (signal: AbortSignal): Promise<Duplex> => {
    await this.gate(++this.attempts, signal);
    const [near, far] = streamPair();
    this.opened.push(new Far(far));
    for (const resolve of this.#waiting.splice(0)) resolve();
    return near;
  };

  /** The far end of the upstream opened as number `count`, from 1. */
  async nth(count: number): Promise<Far> {
    for (;;) {
      const far = this.opened[count - 1];
      if (far !== undefined) return far;
      await new Promise<void>(resolve => void this.#waiting.push(resolve));
    }
  }
}

/** A Unix socket server in a directory of its own. */
export async function unixServer(onConnection: (socket: Socket) => void): Promise<{
  readonly path: string;
  readonly connect: () => Promise<Socket>;
  readonly close: () => Promise<void>;
}> {
  const directory = mkdtempSync(join(tmpdir(), 'link-'));
  const path = join(directory, 's');
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    path,
    connect: async () => {
      const socket = connect({ path, allowHalfOpen: true });
      await once(socket, 'connect');
      return socket;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
