// SPDX-License-Identifier: Apache-2.0
// One connection below a session: a verified peer's socket, what arrives on it, and its end. Which session it belongs to
// changes once, when its first frame has said so.
import type { Socket } from 'node:net';
import { LinkError } from '../errors.js';
import { endSoon } from '../relay/end-stream.js';
import { startReading } from '../relay/reading.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { Incoming, type IncomingSide } from './incoming.js';

export interface ConnectionUser extends IncomingSide {
  /** All that was written has gone. */
  onWritable(): void;
  /** It is lost. Told once, never at once. */
  onLost(connection: SessionConnection): void;
}

export class SessionConnection implements IncomingSide {
  readonly peer: VerifiedPeer;
  readonly socket: Socket;
  readonly incoming: Incoming;
  #user: ConnectionUser;
  #broken: LinkError | null = null;
  #lost = false;

  constructor(peer: VerifiedPeer, user: ConnectionUser) {
    this.peer = peer;
    this.socket = peer.socket;
    this.#user = user;
    const incoming = new Incoming(this);
    this.incoming = incoming;
    const { socket } = peer;
    startReading(socket, (bytes, length) => incoming.feed(bytes, length));
    const onLost = (): void => this.#onLost();
    socket.on('end', onLost).on('close', onLost);
    if (socket.destroyed) queueMicrotask(onLost);
  }

  /** What ended it; null when the other end simply closed it. */
  failure(): LinkError | null {
    return this.#broken ?? this.peer.failure();
  }

  /** From now on this one is told. */
  hand(user: ConnectionUser): void {
    this.#user = user;
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes, this.#onWritten);
  }

  /** Nothing more is read, and nobody is told of its end; what was written still goes out. */
  close(): void {
    this.#lost = true;
    this.incoming.stop();
    // Nothing is looked at any more, but an end has to be seen.
    this.socket.resume();
    endSoon(this.socket);
  }

  /** As `close`, with what was not delivered thrown away: it is kept, and goes another way. */
  drop(): void {
    this.#lost = true;
    this.incoming.stop();
    this.socket.destroy();
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#user.onBytes(bytes, length);
  }

  onControl(control: Parameters<IncomingSide['onControl']>[0]): boolean {
    return this.#user.onControl(control);
  }

  onBroken(reason: string): void {
    this.#broken = new LinkError(
      'ERR_LINK_SESSION_LOST',
      `${this.peer.peer.remote} broke the session: ${reason}`,
    );
    this.#user.onBroken(reason);
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error == null && !this.#lost && this.socket.writableLength === 0) this.#user.onWritable();
  };

  #onLost(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.incoming.stop();
    this.socket.destroy();
    this.#user.onLost(this);
  }
}
