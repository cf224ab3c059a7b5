// SPDX-License-Identifier: Apache-2.0
// The streams a relay may own, and how one ends kindly and in bounded time. Nothing about frames here.
import type { Duplex } from 'node:stream';
import { LinkError } from '../errors.js';
import type { RelayStream } from './relay-stream.js';
import type { LentReads } from './types.js';
import { isUnverifiedNetworkEnd, type VerifiedPeer } from '../tls/verify-peer.js';

/** How long a peer may take to read what was still to be written, in milliseconds. */
const LINGER_MS = 1_000;

/**
 * The stream of an end that may be relayed.
 * @throws LinkError ERR_LINK_UNVERIFIED for a network socket that was not verified; it is closed
 */
export function streamOf(end: Duplex | VerifiedPeer | LentReads): RelayStream {
  const stream = 'peer' in end ? end.socket : 'readLent' in end ? end.stream : end;
  if (isUnverifiedNetworkEnd(stream)) {
    stream.destroy();
    throw new LinkError(
      'ERR_LINK_UNVERIFIED',
      'internal error: a network socket that nobody verified was given to a relay',
    );
  }
  return stream;
}

/** What such an end is read by. */
export function readEndOf(end: Duplex | VerifiedPeer | LentReads): Duplex | LentReads {
  return 'peer' in end ? end.socket : end;
}

/** Writes out what is pending, then destroys; after a second in any case. Safe on a stream that is gone. */
export function endSoon(stream: RelayStream): void {
  if (stream.destroyed) return;
  const timer = setTimeout(() => stream.destroy(), LINGER_MS);
  stream.once('close', () => clearTimeout(timer));
  if (stream.writableFinished) stream.destroy();
  else {
    stream.once('finish', () => stream.destroy());
    if (!stream.writableEnded) stream.end();
  }
}

/** Streams whose 'close' was heard. Below TLS a reset lets it come before the stream calls itself closed. */
const heard = new WeakSet<RelayStream>();

/** Calls `act` when the stream is closed, and lets {@link gone} know. Never at once. */
export function onClose(stream: RelayStream, act: () => void): void {
  // Not `once`, which makes three objects more and keeps them as long as the stream; it comes once anyhow.
  stream.on('close', () => {
    heard.add(stream);
    act();
  });
}

/** Resolves when the stream is closed, at once when it is. For streams that {@link onClose} was told of. */
export function gone(stream: RelayStream): Promise<void> {
  return stream.closed || heard.has(stream)
    ? Promise.resolve()
    : new Promise(resolve => void stream.once('close', resolve));
}

/** Ends a stream that nobody wants. */
export function discard(stream: RelayStream): void {
  stream.on('error', () => {});
  stream.destroy();
}
