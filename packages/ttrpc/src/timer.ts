// SPDX-License-Identifier: Apache-2.0
// One timer that may be longer than Node's longest, which is 24 days and fires at once beyond that.

const LONGEST_MS = 0x7fff_ffff;

/** Calls `fire` once after `ms` milliseconds. The returned function cancels it and may be called any time. */
export function startTimer(ms: number, fire: () => void): () => void {
  let handle: NodeJS.Timeout;
  const arm = (rest: number): void => {
    const step = Math.min(rest, LONGEST_MS);
    handle = setTimeout(() => (rest > step ? arm(rest - step) : fire()), step);
  };
  arm(Math.max(0, ms));
  return () => clearTimeout(handle);
}
