// SPDX-License-Identifier: Apache-2.0
// A peer made of a socket and frames, for tests that send what no client or server of ours would.
import type { Duplex } from 'node:stream';
import { encodeFrame, encodeRequest, FrameDecoder } from '../../src/index.js';
import type { Frame } from '../../src/index.js';

const noBytes = new Uint8Array(0);

export class RawPeer {
  readonly socket: Duplex;
  readonly frames: Frame[] = [];
  readonly #decoder = new FrameDecoder();
  #read = 0;
  #ended = false;
  #wake: (() => void)[] = [];

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk);
      for (let frame = this.#decoder.next(); frame !== null; frame = this.#decoder.next()) {
        if (frame.t !== 'frame') throw new Error(`the peer sent ${frame.t}`);
        this.frames.push(frame);
      }
      this.#notify();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#notify();
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  send(streamId: number, type: number, flags = 0, payload: Uint8Array = noBytes): void {
    this.socket.write(encodeFrame({ streamId, type, flags }, payload));
  }

  request(
    streamId: number,
    method: string,
    payload: Uint8Array = noBytes,
    o: { flags?: number; ns?: bigint } = {},
  ): void {
    const envelope = { service: 'test.Echo', method, payload, timeoutNano: o.ns ?? 0n, metadata: [] };
    this.send(streamId, 1, o.flags ?? 0, encodeRequest(envelope));
  }

  /** The next frame not returned before, or null when the connection has ended. */
  async next(): Promise<Frame | null> {
    await this.until(() => this.frames.length > this.#read);
    return this.frames[this.#read++] ?? null;
  }

  /** Resolves when the condition holds after some data, or the connection has ended. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#ended) {
      await new Promise<void>(resolve => {
        this.#wake.push(resolve);
      });
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }
}
