// SPDX-License-Identifier: Apache-2.0
// Ending a stream kindly and in bounded time. Nothing about frames here.
import type { Duplex } from 'node:stream';

/** How long a peer may take to read what was still to be written, in milliseconds. */
const LINGER_MS = 1_000;

/** Writes out what is pending, then destroys; after a second in any case. Safe on a stream that is gone. */
export function endSoon(stream: Duplex): void {
  if (stream.destroyed) return;
  const timer = setTimeout(() => stream.destroy(), LINGER_MS);
  stream.once('close', () => clearTimeout(timer));
  if (stream.writableFinished) stream.destroy();
  else {
    stream.once('finish', () => stream.destroy());
    if (!stream.writableEnded) stream.end();
  }
}
