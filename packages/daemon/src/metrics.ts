// SPDX-License-Identifier: Apache-2.0
// The metrics registry of a process. A subpath of its own: prom-client takes 30 ms to load, which a program that
// serves no metrics should not spend.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { VERSION } from './version.js';

export { Counter, Gauge, Histogram, Registry };

/**
 * Makes a registry with what every process of ours reports: CPU, memory, event loop delay, open files, and
 * `peerpod_build_info` with the versions.
 */
export function createRegistry(program: string): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  new Gauge({
    name: 'peerpod_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['program', 'version', 'node', 'openssl'],
    registers: [register],
  }).set({ program, version: VERSION, node: process.version, openssl: process.versions.openssl }, 1);
  return register;
}
