// SPDX-License-Identifier: Apache-2.0
// The metrics registry of a process, and the two kinds of figures that need care: counters that alerts are made of, and
// durations. A subpath of its own: prom-client takes 30 ms to load, which a program that serves no metrics should not
// spend.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { commit, VERSION } from './version.js';

export { Counter, Gauge, Histogram, Registry };

/**
 * Makes a registry with what every process of ours reports: CPU, memory, event loop delay, open files, and
 * `peerpod_build_info` with the versions.
 */
export function createRegistry(program: string): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  for (const name of ODDLY_NAMED) register.removeSingleMetric(name);
  new Gauge({
    name: 'peerpod_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['program', 'version', 'commit', 'node', 'openssl'],
    registers: [register],
  }).set(
    {
      program,
      version: VERSION,
      commit: commit(),
      node: process.version,
      openssl: process.versions.openssl,
    },
    1,
  );
  return register;
}

/**
 * Default metrics of prom-client that `promtool check metrics` complains of: gauges with the ending of counters. Each is
 * the sum of another one.
 */
const ODDLY_NAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
] as const;

export interface FamilyOptions<V extends string> {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  /** Every value the label can have: a closed set, so that nobody outside can make series. */
  readonly values: readonly V[];
  readonly register: Registry;
}

/**
 * Counters of one name, ending in `_total`, that exist at zero for each value of their label from the start. Otherwise
 * the first event would make the series appear at 1, and `increase()` over it, which alerts are made of, would be 0.
 */
export function countFrom0<V extends string>(
  options: FamilyOptions<V>,
): { inc(value: V, by?: number): void } {
  const { name, help, label, values, register } = options;
  const counter = new Counter({ name, help, labelNames: [label], registers: [register] });
  for (const value of values) counter.inc({ [label]: value }, 0);
  return { inc: (value, by = 1) => counter.inc({ [label]: value }, by) };
}

const BUCKETS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600];

/**
 * Histograms of one name, ending in `_seconds`, by the phase of a start or the outcome of a handshake; at zero from the
 * start, too.
 *
 * @param buckets upper bounds in seconds; default from 5 ms to 10 minutes
 */
export function timeFrom0<V extends string>(
  options: FamilyOptions<V>,
  buckets: readonly number[] = BUCKETS,
): { observe(value: V, seconds: number): void } {
  const { name, help, label, values, register } = options;
  const histogram = new Histogram({
    name,
    help,
    labelNames: [label],
    buckets: [...buckets],
    registers: [register],
  });
  for (const value of values) histogram.zero({ [label]: value });
  return { observe: (value, seconds) => histogram.observe({ [label]: value }, seconds) };
}
