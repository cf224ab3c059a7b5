// SPDX-License-Identifier: Apache-2.0
// Signals that end by time or by other signals. The only place that makes either: on Node 20 the time-out inside
// `AbortSignal.any([signal, AbortSignal.timeout(ms)])` is collected as garbage and never fires (nodejs/node#57736), so
// both are built here from a timer and listeners, which hold what they need.
import { startTimer } from './long-timer.js';

/** A signal, and the end of its timer and listeners: dispose of it (`using`) when nothing waits for it any more. */
export type Deadline = AbortSignal & Disposable;

/**
 * A signal that aborts after `ms` milliseconds with a `TimeoutError`, or before that when one of `signals` does, with
 * its reason. Like `AbortSignal.timeout` it holds no process alive. What it holds is let go when it aborts or is
 * disposed of, after which it never aborts.
 */
export function deadline(ms: number, ...signals: readonly AbortSignal[]): Deadline {
  const { controller, release, signal } = follow(signals);
  if (signal.aborted) return signal;
  const cancel = startTimer(
    ms,
    () => {
      release();
      controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
    },
    { ref: false },
  );
  release.also(cancel);
  return signal;
}

/** A signal that aborts with the first of `signals`, with its reason. Dispose of it where they outlive its use. */
export function anySignal(...signals: readonly AbortSignal[]): Deadline {
  return follow(signals).signal;
}

interface Release {
  (): void;
  also(action: () => void): void;
}

function follow(signals: readonly AbortSignal[]): {
  controller: AbortController;
  release: Release;
  signal: Deadline;
} {
  const controller = new AbortController();
  const ends: (() => void)[] = [];
  const release: Release = Object.assign(
    () => {
      for (const end of ends.splice(0)) end();
    },
    { also: (end: () => void) => void ends.push(end) },
  );
  const signal: Deadline = Object.assign(controller.signal, { [Symbol.dispose]: release });
  for (const source of signals) {
    if (source.aborted) {
      release();
      controller.abort(source.reason);
      break;
    }
    const onAbort = (): void => {
      release();
      controller.abort(source.reason);
    };
    source.addEventListener('abort', onAbort, { once: true });
    release.also(() => source.removeEventListener('abort', onAbort));
  }
  return { controller, release, signal };
}
