// SPDX-License-Identifier: Apache-2.0
// Where a program starts: on a Node.js that may not run it, it says so and loads nothing else. The program itself is its
// caller's. Like node-version.ts, it has to be readable for an old Node.js.
import { nodeRefusal } from './node-version.js';

/** What Node.js itself ends with when a module waits for what never comes. */
const NEVER_DONE = 13;

/**
 * Runs a program's main function and lets `end` have its exit code. What it throws ends the process as an uncaught error.
 *
 * @param load loads the program and runs it; not called on a Node.js that is refused
 * @param end by default the process ends when nothing is left to wait for
 */
export async function startProgram(
  program: string,
  load: () => Promise<number>,
  end: (code: number) => void = code => {
    process.exitCode = code;
  },
): Promise<void> {
  const refusal = nodeRefusal();
  if (refusal !== null) {
    process.stderr.write(program + ': ' + refusal + '\n');
    process.exitCode = 1;
    return;
  }
  process.exitCode = NEVER_DONE;
  end(await load());
}
