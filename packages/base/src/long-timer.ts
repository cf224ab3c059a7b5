// SPDX-License-Identifier: Apache-2.0
// Timers that Node's own cannot be: longer than 24 days, and for a date of the wall clock, which may be stepped and
// which goes on while a machine is suspended.

/** Node fires at once, with a warning, for anything longer. */
const LONGEST_MS = 0x7fff_ffff;

export interface TimerOptions {
  /** Whether the timer holds the process alive. Default true. */
  readonly ref?: boolean;
}

/** Calls `fire` once after `ms` milliseconds of monotonic time. The returned function cancels it, at any time. */
export function startTimer(ms: number, fire: () => void, options: TimerOptions = {}): () => void {
  let handle: NodeJS.Timeout;
  const arm = (rest: number): void => {
    const step = Math.min(rest, LONGEST_MS);
    handle = setTimeout(() => (rest > step ? arm(rest - step) : fire()), step);
    if (options.ref === false) handle.unref();
  };
  arm(Math.max(0, ms));
  return () => clearTimeout(handle);
}

export interface DateTimerOptions {
  /** The wall clock, in milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
  /** Longest time between two looks at the clock, in milliseconds. Default 60 000: a step is noticed that soon. */
  readonly lookMs?: number;
}

/**
 * Calls `act` once the wall clock has reached `at`, however it got there: the clock is looked at again at least once a
 * minute and before acting, so a step forwards is noticed within that, a step backwards postpones, and a machine that
 * slept acts on waking. On a later turn even when `at` is past. Holds no process alive. The returned function cancels.
 */
export function atDate(at: Date, act: () => void, options: DateTimerOptions = {}): () => void {
  const now = options.now ?? Date.now;
  const lookMs = options.lookMs ?? 60_000;
  let handle: NodeJS.Timeout;
  const arm = (): void => {
    const leftMs = Math.max(0, at.getTime() - now());
    handle = setTimeout(() => (now() >= at.getTime() ? act() : arm()), Math.min(leftMs, lookMs)).unref();
  };
  if (Number.isNaN(at.getTime())) throw new RangeError('internal error: a timer for an invalid date');
  arm();
  return () => clearTimeout(handle);
}
