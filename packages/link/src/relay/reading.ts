// SPDX-License-Identifier: Apache-2.0
// How a relay reads: into one buffer of the process, lent to every stream in turn. A new buffer for each read would lie
// outside of V8's heap and call for full collections. What a listener wants to keep it copies. What the bytes mean is
// scanner.ts's business.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { LinkError } from '../errors.js';
import { canLendReads, lendReads } from '../tls/node-internals.js';
import type { LentReads } from './types.js';

/** Takes what was read: `length` bytes at the start of `bytes`, lent until it returns. */
export type ReadListener = (bytes: Buffer, length: number) => void;

/** Most bytes that one read brings: a Unix socket hands out a message of 64 KiB and its head at once, and of larger ones more. */
const READ_BYTES = 256 * 1024;

/** `on` where Node lets us; `off`: every read has a buffer of its own; `poison`: what was lent is overwritten, for tests. */
const MODES = ['on', 'off', 'poison'] as const;
const VARIABLE = 'PEERPOD_LENT_READS';
const POISON = 0xdb;

const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

// An empty variable counts as unset, as everywhere.
const given = process.env[VARIABLE] || 'on';
const mode = MODES.find(one => one === given);

/**
 * How streams are read in this process: `lent` into the one buffer, or `own` where this Node does not offer it, or where
 * PEERPOD_LENT_READS is `off`.
 * @throws LinkError ERR_LINK_SETTING when that variable is something else
 */
export function readsInForce(): 'lent' | 'own' {
  if (mode === undefined) {
    throw new LinkError(
      'ERR_LINK_SETTING',
      `${VARIABLE} is ${JSON.stringify(given)}, not one of ${MODES.join(', ')}`,
      {
        hint: `unset ${VARIABLE}, or set it to off where reads into a shared buffer are suspected of a fault`,
      },
    );
  }
  return mode !== 'off' && canLendReads() ? 'lent' : 'own';
}

/** Reads the stream from now on, as long as it is not paused. For once in a stream's life. */
export function startReading(end: Duplex | LentReads, listener: ReadListener): void {
  if ('readLent' in end) return end.readLent(listener);
  const take = lender(listener);
  // Also where reads are lent: what came before, and what no Node known today does any more.
  end.on('data', (chunk: Buffer) => take(chunk, chunk.length));
  if (!(end instanceof Socket) || readsInForce() === 'own') return;
  lendReads(end, readBuffer, length => {
    // What was read before in another way is older; reading it calls the listener above.
    while (end.readableLength > 0 && end.read() !== null);
    take(readBuffer, length);
  });
}

/** The same for a connection that is still to be made, where Node has a public name for it: `onread` of `net.connect`. */
export function lentConnection(): {
  readonly onread: OnRead | undefined;
  reads(socket: Socket): LentReads<Socket>;
} {
  let take: ReadListener = () => {};
  const onread =
    readsInForce() === 'own'
      ? undefined
      : {
          buffer: readBuffer,
          callback: (length: number): boolean => {
            take(readBuffer, length);
            return true;
          },
        };
  const reads = (socket: Socket): LentReads<Socket> => ({
    stream: socket,
    readLent: listener => {
      take = lender(listener);
      if (onread === undefined) socket.on('data', (chunk: Buffer) => take(chunk, chunk.length));
      socket.resume();
    },
  });
  return { onread, reads };
}

interface OnRead {
  readonly buffer: Uint8Array;
  readonly callback: (bytesWritten: number, buffer: Uint8Array) => boolean;
}

/** A chunk is lent like the rest, so that there is one rule; in a test, what is kept all the same is seen. */
function lender(listener: ReadListener): ReadListener {
  if (mode !== 'poison') return listener;
  return (bytes, length) => {
    listener(bytes, length);
    bytes.fill(POISON, 0, length);
  };
}
