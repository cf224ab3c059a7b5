// SPDX-License-Identifier: Apache-2.0
// One socket that carries frames: reads and decodes, writes in batches, and stops reading while its owner holds more
// bytes than the budget allows. What frames mean is the owner's business.
import type { Duplex } from 'node:stream';
import { TtrpcError } from './errors.js';
import { FrameDecoder } from './frame-decoder.js';
import type { Frame, OversizedFrame } from './frame-decoder.js';
import type { Ledger } from './inbox.js';
import { startTimer } from '@peerpod-tls/base';

export interface FrameConnectionOwner {
  onFrame(frame: Frame | OversizedFrame): void;
  /** Called once. The error is undefined when either side simply ended the connection. */
  onClosed(error: Error | undefined): void;
  /** Called while reading has stood still for `stallMs`, because of bytes that the owner holds. */
  onStall?(): void;
  /** Called when the socket takes bytes again after it had refused more. */
  onDrain?(): void;
}

export interface FrameConnectionOptions {
  /** Bytes that may be held and waiting to be written, together, before reading stops. */
  readonly byteBudget: number;
  /** Milliseconds of standstill after which `onStall` is called, again and again while it lasts. */
  readonly stallMs?: number;
}

/**
 * Frames handed on in one go. One chunk may hold a thousand small requests; pausing between them lets their answers
 * be counted before more are asked for.
 */
const FRAMES_PER_TURN = 32;

export class FrameConnection implements Ledger {
  readonly #socket: Duplex;
  readonly #owner: FrameConnectionOwner;
  readonly #budget: number;
  readonly #stallMs: number;
  readonly #decoder = new FrameDecoder();
  #held = 0;
  #pumping = false;
  #paused = false;
  #corked = false;
  #closed = false;
  #ending = false;
  #cancelStall: (() => void) | null = null;
  #nextTurn: NodeJS.Immediate | null = null;
  #drained: { promise: Promise<void>; resolve: () => void } | null = null;

  constructor(socket: Duplex, owner: FrameConnectionOwner, options: FrameConnectionOptions) {
    this.#socket = socket;
    this.#owner = owner;
    this.#budget = options.byteBudget;
    this.#stallMs = options.stallMs ?? 0;
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    if (socket.destroyed || socket.readableEnded) queueMicrotask(() => this.#finish(undefined));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes written and not yet taken by the socket. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** True when the socket asks to wait before writing more. Frames written nevertheless are kept. */
  get congested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Resolves when the socket takes bytes again, or is closed. */
  async writable(): Promise<void> {
    if (!this.congested || this.#closed) return;
    if (this.#drained === null) {
      let resolve = (): void => {};
      const promise = new Promise<void>(done => {
        resolve = done;
      });
      this.#drained = { promise, resolve };
    }
    await this.#drained.promise;
  }

  /** Writes one frame. Frames of one turn of the event loop leave in one system call. */
  send(frame: Buffer): void {
    if (this.#closed || this.#ending) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    this.#socket.write(frame);
  }

  hold(bytes: number): void {
    this.#held += bytes;
  }

  release(bytes: number): void {
    this.#held -= bytes;
    if (!this.#paused || this.#nextTurn !== null) return;
    this.#stopStallTimer();
    this.#pump();
  }

  /** Sends what is written, then closes. Nothing that still arrives is looked at. */
  end(): void {
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    this.#uncork();
    this.#socket.end(() => this.#finish(undefined));
  }

  /** Closes at once. */
  destroy(error?: Error): void {
    this.#finish(error);
  }

  readonly #uncork = (): void => {
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
  };

  readonly #onData = (chunk: Buffer): void => {
    if (this.#ending) return;
    this.#decoder.push(chunk);
    this.#pump();
  };

  readonly #onDrain = (): void => {
    this.#drained?.resolve();
    this.#drained = null;
    this.#owner.onDrain?.();
    if (this.#paused && this.#nextTurn === null) this.#pump();
  };

  readonly #onEnd = (): void => this.#finish(undefined);
  readonly #onError = (error: Error): void => this.#finish(error);
  readonly #onClose = (): void => this.#finish(undefined);

  #overBudget(): boolean {
    return this.#held + this.#socket.writableLength > this.#budget;
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let frames = 0; !this.#closed && !this.#ending; frames++) {
        if (this.#overBudget()) {
          this.#pause();
          this.#watchStall();
          return;
        }
        if (frames === FRAMES_PER_TURN) {
          this.#pause();
          this.#nextTurn ??= setImmediate(this.#onNextTurn);
          return;
        }
        const frame = this.#decoder.next();
        if (frame === null) break;
        if (frame.t === 'tls') {
          this.#finish(
            new TtrpcError(
              'ERR_TTRPC_PEER_SPEAKS_TLS',
              'the peer speaks TLS on a connection that is plain ttrpc',
              {
                hint: 'use the same security on both ends: either none of them is told to disable TLS, or both are',
              },
            ),
          );
          return;
        }
        this.#handOn(frame);
      }
      this.#resume();
    } finally {
      this.#pumping = false;
    }
  }

  /** An error here is a bug of ours. It costs this connection and not the process with all the others. */
  #handOn(frame: Frame | OversizedFrame): void {
    try {
      this.#owner.onFrame(frame);
    } catch (error) {
      this.#finish(new Error('internal error: a frame could not be handled', { cause: error }));
    }
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  readonly #onNextTurn = (): void => {
    this.#nextTurn = null;
    this.#pump();
  };

  #watchStall(): void {
    if (this.#cancelStall !== null || this.#owner.onStall === undefined) return;
    this.#cancelStall = startTimer(this.#stallMs, this.#onStallTimer);
  }

  readonly #onStallTimer = (): void => {
    this.#cancelStall = null;
    this.#owner.onStall?.();
    if (this.#paused && !this.#closed) this.#pump();
  };

  #resume(): void {
    this.#stopStallTimer();
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #stopStallTimer(): void {
    this.#cancelStall?.();
    this.#cancelStall = null;
  }

  #finish(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopStallTimer();
    if (this.#nextTurn !== null) clearImmediate(this.#nextTurn);
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
    // The error listener stays: a socket may fail while it is being destroyed, and nobody else would listen.
    socket.destroy();
    this.#drained?.resolve();
    this.#drained = null;
    this.#owner.onClosed(error);
  }
}
