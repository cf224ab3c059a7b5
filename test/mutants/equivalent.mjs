// SPDX-License-Identifier: Apache-2.0
// Mutants made from the sources that change nothing a test could see, and why. The key is the file, what was done and the
// line as it stands there; a key whose line is gone is an error of the runner.

/** @type {ReadonlyMap<string, string>} */
export const equivalent = new Map([
  [
    'packages/ttrpc/src/call-options.ts the bound is off by one: if (timeoutMs <= 0) return 1n;',
    'a call without any time left has ended before it is written, so what it would carry is not seen',
  ],
  [
    'packages/ttrpc/src/call-options.ts the bound is off by one: return nano > LONGEST_NANO ? LONGEST_NANO : nano;',
    'both sides are the same number when they are equal',
  ],
  [
    'packages/ttrpc/src/frame-connection.ts the guard is gone: if (!this.#paused || this.#nextTurn !== null) return;',
    'frames are taken a turn earlier, in the same order; a look at nothing new finds nothing',
  ],
  [
    'packages/proxy/src/call-stats.ts the bound is off by one: const code = status >= 0 && status < CODE_NAMES.length ? status : CODE_NAMES.length;',
    'a status that is the number of names stands for the same place either way',
  ],
]);
