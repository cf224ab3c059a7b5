// SPDX-License-Identifier: Apache-2.0
// What a caller may say about one call, and the one watch that ends a call from the caller's side.
import { StatusError } from './errors.js';
import type { Metadata } from './envelope.js';
import { StatusCode } from './status.js';
import { startTimer } from '@peerpod-tls/base';

export interface CallOptions {
  /**
   * Milliseconds until the caller gives up. Travels with the request and is kept here as well. Zero or less gives
   * up at once, none or Infinity never.
   */
  readonly timeoutMs?: number | undefined;
  /** Aborting it ends the call with status Canceled. ttrpc has no cancel frame: the server goes on regardless. */
  readonly signal?: AbortSignal | undefined;
  /** A key may have several values. */
  readonly metadata?: Readonly<Record<string, string | readonly string[]>> | undefined;
}

const LONGEST_NANO = 2n ** 63n - 1n;

/**
 * The timeout as the request carries it, in nanoseconds.
 * @throws RangeError when it is not a number
 */
export function timeoutNanoOf(options: CallOptions): bigint {
  const { timeoutMs } = options;
  if (timeoutMs === undefined || timeoutMs === Infinity) return 0n;
  if (Number.isNaN(timeoutMs)) throw new RangeError('timeoutMs is NaN, not a number of milliseconds');
  // Zero means no deadline on the wire, so the shortest time there is stands for a deadline that has passed.
  if (timeoutMs <= 0) return 1n;
  const nano = BigInt(Math.ceil(Math.min(timeoutMs * 1e6, Number.MAX_VALUE)));
  return nano > LONGEST_NANO ? LONGEST_NANO : nano;
}

export function metadataOf(options: CallOptions): Metadata[] {
  return Object.entries(options.metadata ?? {}).flatMap(([key, values]) =>
    (typeof values === 'string' ? [values] : values).map(value => ({ key, value })),
  );
}

/** Why a call ends before it begins, or null. */
export function endedBefore(what: string, options: CallOptions): StatusError | null {
  if (options.signal?.aborted === true) return canceled(what, options.signal);
  if (options.timeoutMs !== undefined && options.timeoutMs <= 0) return expired(what, options.timeoutMs);
  return null;
}

/** Calls `end` once when the caller's time is up or its signal aborts, unless the returned function came first. */
export function watchCaller(
  what: string,
  options: CallOptions,
  end: (error: StatusError) => void,
): () => void {
  const { signal, timeoutMs } = options;
  let cancelTimer: (() => void) | null = null;
  const stop = (): void => {
    cancelTimer?.();
    signal?.removeEventListener('abort', onAbort);
  };
  const onAbort = (): void => {
    stop();
    if (signal !== undefined) end(canceled(what, signal));
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  if (timeoutMs !== undefined && timeoutMs !== Infinity) {
    cancelTimer = startTimer(timeoutMs, () => {
      stop();
      end(expired(what, timeoutMs));
    });
  }
  return stop;
}

function canceled(what: string, signal: AbortSignal): StatusError {
  return new StatusError(StatusCode.canceled, `${what} was canceled by its caller`, { cause: signal.reason });
}

function expired(what: string, timeoutMs: number): StatusError {
  return new StatusError(StatusCode.deadlineExceeded, `${what} was not answered within ${timeoutMs} ms`);
}
