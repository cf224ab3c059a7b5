// SPDX-License-Identifier: Apache-2.0
// The figures a person wants out of a metrics page, as plain values. The names of the adaptor's metrics are here and
// nowhere else; how the figures look is status-view.ts.
import type { Snapshot } from './endpoint.js';
import { type Metrics, quantileOf, sumOf, sumsBy } from './prometheus.js';

/** Figures since the adaptor started, unless they say otherwise. Latencies in milliseconds; null: nothing to tell. */
export interface Summary {
  readonly ready: boolean;
  readonly reason: string;
  readonly links: number;
  readonly calls: number;
  readonly failedCalls: readonly (readonly [code: string, count: number])[];
  readonly methods: readonly (readonly [method: string, count: number])[];
  /** Per second, between this snapshot and the one before. */
  readonly callsPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly redials: number;
  readonly failedRedials: number;
  readonly refusals: readonly (readonly [rule: string, count: number])[];
  readonly protocolErrors: number;
  readonly issued: number;
  readonly orphans: number;
  readonly setAside: number;
  /** Seconds until the first certificate of a kind expires. */
  readonly expiry: readonly (readonly [kind: string, seconds: number])[];
  readonly startP50Ms: number | null;
  readonly residentBytes: number | null;
  readonly upMs: number | null;
}

const CALLS = 'peerpod_calls_total';
const CALL_SECONDS = 'peerpod_call_duration_seconds';

/**
 * The figures of a snapshot, with rates when an earlier one is at hand. Calls that wait by nature say nothing about
 * speed: their time is the time of the process they wait for, so quantiles leave them out where `waits` names them.
 */
export function summarize(now: Snapshot, before?: Snapshot, waits: ReadonlySet<string> = new Set()): Summary {
  const { metrics } = now;
  const total = (name: string, where?: Record<string, string>) => sumOf(metrics, name, where) ?? 0;
  const brief = withoutMethods(metrics, waits);
  const ms = (q: number) => {
    const seconds = quantileOf(brief, CALL_SECONDS, q);
    return seconds === undefined ? null : seconds * 1000;
  };
  const started = sumOf(metrics, 'process_start_time_seconds');
  const startSeconds = quantileOf(metrics, 'peerpod_start_duration_seconds', 0.5);
  return {
    ready: now.ready.ok,
    reason: now.ready.reason,
    links: total('peerpod_links'),
    calls: total(CALLS),
    failedCalls: counted(withoutReads(metrics), CALLS, 'code').filter(([code]) => code !== 'ok'),
    methods: counted(metrics, CALLS, 'method'),
    callsPerSecond: rate(now, before, CALLS),
    bytesPerSecond: rate(now, before, 'peerpod_bytes_total'),
    p50Ms: ms(0.5),
    p99Ms: ms(0.99),
    requestBytes: total('peerpod_bytes_total', { direction: 'request' }),
    responseBytes: total('peerpod_bytes_total', { direction: 'response' }),
    redials: total('peerpod_redials_total', { result: 'ok' }),
    failedRedials: total('peerpod_redials_total', { result: 'failed' }),
    refusals: counted(metrics, 'peerpod_refusals_total', 'rule'),
    protocolErrors: total('peerpod_protocol_errors_total'),
    issued: total('peerpod_certificates_issued_total'),
    orphans: total('peerpod_orphan_instances'),
    setAside: total('peerpod_state_files_set_aside'),
    expiry: [...sumsBy(metrics, 'peerpod_certificate_expiry_seconds', 'kind')].sort((a, b) => a[1] - b[1]),
    startP50Ms: startSeconds === undefined ? null : startSeconds * 1000,
    residentBytes: sumOf(metrics, 'process_resident_memory_bytes') ?? null,
    upMs: started === undefined ? null : Math.max(0, now.at - started * 1000),
  };
}

function counted(metrics: Metrics, name: string, label: string): (readonly [string, number])[] {
  return sumsBy(metrics, name, label).filter(([, n]) => n > 0);
}

/** The agent ends every output with a status that is not OK, so those of reads are no failures. */
function withoutReads(metrics: Metrics): Metrics {
  const kept = (metrics.get(CALLS) ?? []).filter(
    s => !/^ReadStd(?:out|err)$/u.test(s.labels.get('method') ?? ''),
  );
  return new Map([...metrics, [CALLS, kept]]);
}

function withoutMethods(metrics: Metrics, methods: ReadonlySet<string>): Metrics {
  if (methods.size === 0) return metrics;
  const name = `${CALL_SECONDS}_bucket`;
  const kept = (metrics.get(name) ?? []).filter(s => !methods.has(s.labels.get('method') ?? ''));
  return new Map([...metrics, [name, kept]]);
}

function rate(now: Snapshot, before: Snapshot | undefined, name: string): number | null {
  if (before === undefined || now.at <= before.at) return null;
  const grown = (sumOf(now.metrics, name) ?? 0) - (sumOf(before.metrics, name) ?? 0);
  // A counter that shrank belongs to a process that was started again in between.
  return grown < 0 ? null : (grown * 1000) / (now.at - before.at);
}
