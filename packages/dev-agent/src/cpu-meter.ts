// SPDX-License-Identifier: Apache-2.0
// Processor time of a container whose processes come and go, as a number that never falls. Numbers in, numbers out.
import type { ProcessFacts } from './process-scan.js';

/** Clock ticks per second that /proc counts in: 100 on every machine Node runs on (proc(5), USER_HZ). */
const NANOSECONDS_PER_TICK = 10_000_000;

/** Processor time in nanoseconds. */
export interface CpuTime {
  readonly user: number;
  readonly system: number;
}

export class CpuMeter {
  #user = 0;
  #system = 0;

  /**
   * The time of the living processes and of those they waited for. What ended without being waited for drops out of
   * /proc; the highest sum seen stands in for it.
   */
  measure(living: readonly ProcessFacts[]): CpuTime {
    let user = 0;
    let system = 0;
    for (const facts of living) {
      user += facts.userTicks;
      system += facts.systemTicks;
    }
    this.#user = Math.max(this.#user, user * NANOSECONDS_PER_TICK);
    this.#system = Math.max(this.#system, system * NANOSECONDS_PER_TICK);
    return { user: this.#user, system: this.#system };
  }
}
