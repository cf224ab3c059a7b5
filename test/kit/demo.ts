// SPDX-License-Identifier: Apache-2.0
// Ctrl-C in a demo at a chosen moment, and what it leaves: there must be nothing.
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporary, untilNoProcess } from './directory.js';
import { Program, type Teardown } from './program.js';

export interface Interrupted {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  readonly processes: readonly string[];
  readonly files: readonly string[];
}

/** Starts a demo, presses Ctrl-C after `ms`, and waits for its end. */
export async function interruptDemo(t: Teardown, ms: number): Promise<Interrupted> {
  const base = temporary(t);
  const demo = new Program(t, 'peerpod', ['demo', '-command', 'echo up; sleep 600'], {
    env: { TMPDIR: base },
    group: true,
  });
  await Promise.race([sleep(ms), demo.ended]);
  demo.interrupt();
  const { code, signal, stderr } = await demo.ended;
  const left = await untilNoProcess(base, 3_000);
  return { code, signal, stderr, processes: left.map(({ command }) => command), files: readdirSync(base) };
}
