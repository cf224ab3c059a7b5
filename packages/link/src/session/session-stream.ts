// SPDX-License-Identifier: Apache-2.0
// A session as its user sees it: a stream of bytes that goes on over another connection when the one below it is cut. It
// keeps what was not acknowledged, acknowledges what was taken, and holds the writer when too much is kept. Who gives it the
// next connection, and how long it may be without, is its owner's business.
import { EventEmitter } from 'node:events';
import { MAX_MESSAGE_LENGTH } from '@peerpod-tls/ttrpc/relay';
import { LinkError } from '../errors.js';
import type { ResumableStream } from '../relay/relay-stream.js';
import type { LentReads } from '../relay/types.js';
import { ackTimer, type Debtor } from './ack-timer.js';
import type { ConnectionUser, SessionConnection } from './connection.js';
import { FrameWalk } from './frame-walk.js';
import { KeptBytes } from './kept-bytes.js';
import { encodeAck, encodeEnd, type Control, type Opened } from './wire.js';

/**
 * Bytes that may be unacknowledged before no further frame begins. A frame that has begun is finished, since an
 * acknowledgement can only stand between two: so at most this and one frame more is kept.
 */
export const UNACKNOWLEDGED_BYTES = 4 * 1024 * 1024;
/** Bytes taken after which an acknowledgement is due at once. */
const ACK_BYTES = 1024 * 1024;
/** Bytes that wait for a reader who holds them while acknowledgements have to be read behind them. */
const WAITING_BYTES = UNACKNOWLEDGED_BYTES + MAX_MESSAGE_LENGTH;

export interface SessionOwner {
  /** The connection was lost, and nothing else has ended: a new one may be given. */
  onAway(cause: LinkError | null): void;
  /** The other end's first frame on a connection that was given before it came. False: none was awaited. */
  onOpened(opened: Opened): boolean;
  /** Its user has left. True: what was written is to be delivered all the same, and the owner sees to an end of that. */
  onLeft(): boolean;
  /** It is over: nothing is kept any more. */
  onOver(): void;
  /** Whether a session without a connection may keep more: see there. */
  mayKeep(): boolean;
}

export class SessionStream
  extends EventEmitter
  implements ResumableStream, LentReads, ConnectionUser, Debtor
{
  readonly #owner: SessionOwner;
  readonly #kept = new KeptBytes();
  /** How far it was sent on the connection there is, and how far the walk over it has come on any. */
  #sent = 0;
  #walked = 0;
  readonly #walk = new FrameWalk();
  #received = 0;
  #taken = 0;
  #acknowledged = 0;
  /** An acknowledgement goes out as soon as a frame of ours has ended. */
  #ackDue = false;
  #owes = false;
  /** What is missing to the frame in which the last connection was cut. */
  #left = 0;
  #connection: SessionConnection | null = null;
  #listener: ((bytes: Buffer, length: number) => void) | null = null;
  #paused = false;
  #waiting: KeptBytes | null = null;
  onRoom: (() => void) | null = null;
  onAway: ((away: boolean) => void) | null = null;
  #ended = false;
  #endSent = false;
  #remoteEnded = false;
  #over = false;
  /** Its user has left, and what was written is still to be delivered. */
  #lingers = false;
  destroyed = false;
  closed = false;
  readableEnded = false;
  writableFinished = false;

  constructor(owner: SessionOwner) {
    super();
    this.#owner = owner;
  }

  get stream(): this {
    return this;
  }

  get away(): boolean {
    return this.#connection === null;
  }

  /** Bytes kept for the other end. */
  get keptBytes(): number {
    return this.#kept.length;
  }

  /** Bytes that arrived. */
  get received(): number {
    return this.#received;
  }

  /** Whether the other end may have received so many bytes: they were sent, and what follows is kept. */
  couldGoOnAt(received: number): boolean {
    return received >= this.#kept.begin && received <= this.#walked;
  }

  /** Whether anything was ever acknowledged. */
  get fresh(): boolean {
    return this.#kept.begin === 0;
  }

  /**
   * Goes on over this connection, whose other end has received so many bytes. One that is still there is dropped.
   * Returns how many bytes are sent again.
   */
  attach(connection: SessionConnection, received: number): number {
    this.detach();
    this.#connection = connection;
    this.#kept.release(received);
    const again = this.#walked - received;
    this.#sent = received;
    // What was told in the first frame needs no telling.
    this.#acknowledged = this.#received;
    this.#ackDue = false;
    this.#endSent = false;
    connection.incoming.goOn(this.#left);
    connection.hand(this);
    this.#pump();
    this.#adjustReads();
    this.onAway?.(false);
    this.#tellWritable();
    return again;
  }

  /** Lets go of the connection there is, without telling the owner. Everything that it brought is counted. */
  detach(): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#left = connection.incoming.left;
    this.#connection = null;
    connection.drop();
  }

  get writableEnded(): boolean {
    return this.#ended;
  }

  get writableLength(): number {
    const connection = this.#connection;
    if (connection !== null) return connection.socket.writableLength + this.#kept.end - this.#sent;
    if (this.#over || this.#kept.length === 0) return 0;
    const full = this.#kept.length >= UNACKNOWLEDGED_BYTES || !this.#owner.mayKeep();
    return full ? this.#kept.length : 0;
  }

  write(bytes: Uint8Array): void {
    if (this.#ended || this.destroyed) return;
    const { length } = bytes;
    const connection = this.#passable(length);
    this.#kept.add(bytes, 0, length);
    if (connection === null) return this.#push();
    this.#walk.over(asBuffer(bytes), 0, length);
    this.#count(length);
    connection.write(bytes);
  }

  writeSlab(slab: Buffer, length: number): void {
    if (this.#ended || this.destroyed) return;
    const connection = this.#passable(length);
    if (connection !== null) {
      // Before the slab is given away: TLS has encrypted it when this returns.
      this.#walk.over(slab, 0, length);
      this.#count(length);
      connection.write(slab.subarray(0, length));
    }
    this.#kept.give(slab, length);
    if (connection === null) this.#push();
  }

  end(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    this.#pump();
  }

  destroy(error?: Error): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#dropReads();
    const undelivered = this.#ended && (this.#kept.length > 0 || !this.#endSent);
    if (error === undefined && undelivered && !this.#over && this.#owner.onLeft()) {
      this.#lingers = true;
      this.#connection?.socket.resume();
    } else this.#finish(true);
    this.#close(error);
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#adjustReads();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#readOn();
    if (!this.#paused) this.#connection?.socket.resume();
  }

  readLent(listener: (bytes: Buffer, length: number) => void): void {
    this.#listener = listener;
    this.#readOn();
  }

  /** For its owner: it will not be resumed, or broke. */
  lose(error: LinkError): void {
    if (this.#over) return;
    this.#finish(false);
    if (this.destroyed) return;
    this.destroyed = true;
    this.#dropReads();
    this.#close(error);
  }

  acknowledge(): void {
    this.#owes = false;
    if (this.#connection === null || this.#taken <= this.#acknowledged) return;
    this.#ackDue = true;
    this.#pump();
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#received += length;
    if (this.destroyed) return this.#took(length);
    const listener = this.#listener;
    if (listener === null || this.#paused || this.#waiting !== null) return this.#wait(bytes, length);
    this.#took(length);
    listener(bytes, length);
  }

  onControl(control: Control): boolean {
    switch (control.t) {
      case 'ack':
        return this.#onAck(control.received);
      case 'end':
        return this.#onEnd(control.over);
      case 'opened':
        if (this.#owner.onOpened(control.opened)) return true;
        this.onBroken('it answered what nobody asked');
        return false;
      case 'open':
        this.onBroken('it opened a session within one');
        return false;
    }
  }

  onBroken(reason: string): void {
    const remote = this.#connection?.peer.peer.remote ?? 'the other end';
    this.lose(new LinkError('ERR_LINK_SESSION_LOST', `${remote} broke the session: ${reason}`));
  }

  onWritable(): void {
    this.#pump();
    this.#tellWritable();
  }

  onLost(connection: SessionConnection): void {
    if (connection !== this.#connection) return;
    this.#left = connection.incoming.left;
    this.#connection = null;
    if (this.#over) return;
    this.#owner.onAway(connection.failure());
    this.onAway?.(true);
    this.#tellWritable();
  }

  /** The connection, where bytes may go out on it at once and there is nothing to put between them. */
  #passable(length: number): SessionConnection | null {
    const connection = this.#connection;
    if (connection === null || this.#sent !== this.#kept.end || this.#ackDue) return null;
    if (connection.socket.writableLength > 0) return null;
    return this.#kept.length + length <= UNACKNOWLEDGED_BYTES ? connection : null;
  }

  #count(sent: number): void {
    this.#sent += sent;
    if (this.#sent > this.#walked) this.#walked = this.#sent;
  }

  /** Sends what is kept and was not sent, as long as it is taken at once, and what stands between frames. */
  #pump(): void {
    const connection = this.#connection;
    if (connection === null) return;
    while (connection.socket.writableLength === 0) {
      const between = this.#sent === this.#walked && this.#walk.atBoundary;
      if (between) {
        if (this.#ackDue) this.#sendAck(connection);
        if (this.#sent - this.#kept.begin >= UNACKNOWLEDGED_BYTES) return;
      }
      const chunk = this.#kept.at(this.#sent);
      if (chunk === null) return this.#sendEnd(connection, between);
      const count = this.#measure(chunk);
      this.#count(count);
      connection.write(count === chunk.length ? chunk : chunk.subarray(0, count));
    }
  }

  /** How much of this chunk goes out before something may have to stand between. */
  #measure(chunk: Buffer): number {
    const again = this.#walked - this.#sent;
    if (again > 0) return Math.min(again, chunk.length);
    const { length } = chunk;
    const near = this.#sent + length - this.#kept.begin > UNACKNOWLEDGED_BYTES;
    if (this.#ackDue || near) return this.#walk.toBoundary(chunk, 0, length);
    this.#walk.over(chunk, 0, length);
    return length;
  }

  #sendAck(connection: SessionConnection): void {
    this.#ackDue = false;
    this.#acknowledged = this.#taken;
    connection.write(encodeAck(this.#taken));
  }

  #sendEnd(connection: SessionConnection, between: boolean): void {
    if (!this.#ended || this.#endSent) return;
    this.#endSent = true;
    // Inside a frame nothing can be said. Whoever ends there destroys next, and the other end sees a connection lost.
    if (between) connection.write(encodeEnd(false));
    if (this.writableFinished) return;
    this.writableFinished = true;
    process.nextTick(() => this.emit('finish'));
  }

  #tellWritable(): void {
    if (this.onRoom !== null && !this.destroyed && this.writableLength === 0) this.onRoom();
  }

  #took(length: number): void {
    this.#taken += length;
    if (this.#taken - this.#acknowledged >= ACK_BYTES) {
      this.#ackDue = true;
      this.#pump();
    } else if (!this.#owes) {
      this.#owes = true;
      ackTimer.add(this);
    }
  }

  #onAck(received: number): boolean {
    if (received > this.#sent) {
      this.onBroken(`it acknowledged ${received} bytes of ${this.#sent}`);
      return false;
    }
    // What its first frame told may have been more than it had taken by then.
    if (received <= this.#kept.begin) return true;
    this.#kept.release(received);
    this.#pump();
    this.#adjustReads();
    this.#tellWritable();
    if (this.#lingers && this.#endSent && this.#kept.length === 0) this.#finish(true);
    return true;
  }

  #onEnd(over: boolean): boolean {
    this.#remoteEnded = true;
    if (!over) {
      this.#tellEnd();
      return true;
    }
    this.#finish(false);
    this.#tellEnd();
    if (!this.destroyed && this.#waiting === null) this.destroy();
    return false;
  }

  /** The reader is told of the end once it has everything. */
  #tellEnd(): void {
    if (!this.#remoteEnded || this.#waiting !== null || this.readableEnded || this.destroyed) return;
    this.readableEnded = true;
    process.nextTick(() => {
      if (!this.destroyed) this.emit('end');
    });
  }

  /** As `#pump`, where the reader may be held. */
  #push(): void {
    this.#pump();
    this.#adjustReads();
  }

  /** A reader who holds does not hold the connection while acknowledgements may stand behind what he does not read. */
  #adjustReads(): void {
    const connection = this.#connection;
    if (!this.#paused || connection === null) return;
    const needed = this.#kept.length >= UNACKNOWLEDGED_BYTES;
    if (needed && (this.#waiting?.length ?? 0) < WAITING_BYTES) connection.socket.resume();
    else connection.socket.pause();
  }

  #wait(bytes: Buffer, length: number): void {
    this.#waiting ??= new KeptBytes();
    this.#waiting.add(bytes, 0, length);
    if (this.#waiting.length >= WAITING_BYTES) this.#adjustReads();
  }

  /** Hands on what waits. */
  #readOn(): void {
    const waiting = this.#waiting;
    const listener = this.#listener;
    if (waiting === null || listener === null) return;
    while (!this.#paused && !this.destroyed) {
      const chunk = waiting.at(waiting.begin);
      if (chunk === null) {
        this.#waiting = null;
        this.#tellEnd();
        if (this.#over) this.destroy();
        return;
      }
      this.#took(chunk.length);
      listener(chunk, chunk.length);
      if (!this.destroyed) waiting.release(waiting.begin + chunk.length);
    }
  }

  #dropReads(): void {
    this.#waiting?.clear();
    this.#waiting = null;
    this.#listener = null;
    this.onRoom = null;
    this.onAway = null;
  }

  /** Nothing is sent or kept any more. `tell`: the other end hears that it is over, where it can be told. */
  #finish(tell: boolean): void {
    if (this.#over) return;
    this.#over = true;
    const connection = this.#connection;
    this.#connection = null;
    if (connection !== null) {
      const between = this.#sent === this.#kept.end && this.#sent === this.#walked && this.#walk.atBoundary;
      if (tell && between) connection.write(encodeEnd(true));
      connection.close();
    }
    this.#kept.clear();
    this.#owner.onOver();
  }

  #close(error?: Error): void {
    process.nextTick(() => {
      this.closed = true;
      if (error !== undefined && this.listenerCount('error') > 0) this.emit('error', error);
      this.emit('close');
    });
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
