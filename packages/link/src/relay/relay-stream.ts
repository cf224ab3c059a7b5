// SPDX-License-Identifier: Apache-2.0
// What a relay uses of a stream that it owns: any socket of Node's has it, and a session, which is none. No behaviour here.

export interface RelayStream {
  readonly destroyed: boolean;
  readonly closed: boolean;
  readonly readableEnded: boolean;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  /** Bytes that were written and are still here; with none, more are welcome. */
  readonly writableLength: number;
  /** `onWritten` is called when they have gone, and may be called more often, or for several writes at once. */
  write(bytes: Uint8Array, onWritten: (error?: Error | null) => void): unknown;
  end(): unknown;
  destroy(error?: Error): unknown;
  pause(): unknown;
  resume(): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end' | 'finish' | 'close', listener: () => void): unknown;
  once(event: 'finish' | 'close', listener: () => void): unknown;
}

/** A stream that outlives the connection below it. */
export interface ResumableStream extends RelayStream {
  /** Whether there is no connection at the moment. */
  readonly away: boolean;
  /** Told when that changes. */
  onAway: ((away: boolean) => void) | null;
  /**
   * Called when nothing that was written is in the way any more, in place of what `write` is given: there may be something in
   * the way that nobody wrote.
   */
  onRoom: (() => void) | null;
  /** Writes the first `length` bytes of a slab, which is the stream's from now on. */
  writeSlab(slab: Buffer, length: number): void;
}

export function isResumable(stream: RelayStream): stream is ResumableStream {
  return 'writeSlab' in stream;
}
