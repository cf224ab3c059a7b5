// SPDX-License-Identifier: Apache-2.0
// A timer for a date that may be years away. Nothing about certificates here.

/** Node fires at once, with a warning, for anything longer. */
const LONGEST_TIMER_MS = 0x7fffffff;

/** Calls `act` once `at` has come (at once, on the next turn, when it already has). The timer holds no process alive; the returned function cancels it. */
export function atDate(at: Date, act: () => void): () => void {
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const left = at.getTime() - Date.now();
    timer = setTimeout(left > LONGEST_TIMER_MS ? arm : act, Math.max(0, Math.min(left, LONGEST_TIMER_MS)));
    timer.unref();
  };
  arm();
  return () => clearTimeout(timer);
}
