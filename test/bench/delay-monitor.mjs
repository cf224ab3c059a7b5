// SPDX-License-Identifier: Apache-2.0
// Loaded into a program with --import: watches how late its event loop is. On SIGUSR2 it writes what it saw since the
// last one, in milliseconds, to the file named by BENCH_DELAY_FILE and its own pid, and begins anew.
import { renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolution = 1;
const seen = monitorEventLoopDelay({ resolution });
seen.enable();
process.on('SIGUSR2', () => {
  // What is recorded is the time between two ticks of a timer, so the timer's own time comes off.
  const late = nanoseconds => Math.max(0, nanoseconds / 1e6 - resolution);
  const file = `${process.env.BENCH_DELAY_FILE}.${process.pid}`;
  const text = JSON.stringify({
    p50: late(seen.percentile(50)),
    p99: late(seen.percentile(99)),
    max: late(seen.max),
  });
  writeFileSync(`${file}.tmp`, text);
  renameSync(`${file}.tmp`, file);
  seen.reset();
});
