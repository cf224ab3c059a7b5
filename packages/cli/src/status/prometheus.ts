// SPDX-License-Identifier: Apache-2.0
// The Prometheus text format, read back: samples by name, sums, and quantiles of histograms. No sockets here.

/** One line of a metrics page. */
export interface Sample {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** A metrics page: samples by metric name, in the order of the page. */
export type Metrics = ReadonlyMap<string, readonly Sample[]>;

const LINE =
  /^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?<labels>.*)\})?[ \t]+(?<value>[^ \t]+)(?:[ \t]+-?\d+)?$/u;
const LABEL = /(?<key>[a-zA-Z_][a-zA-Z0-9_]*)="(?<value>(?:[^"\\]|\\.)*)",?/gu;

/** Reads a page in the text exposition format 0.0.4. Lines it does not understand are passed over. */
export function parseMetrics(page: string): Metrics {
  const metrics = new Map<string, Sample[]>();
  for (const line of page.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const found = LINE.exec(line.trimEnd())?.groups;
    const value = numberOf(found?.['value'] ?? '');
    const name = found?.['name'];
    if (name === undefined || value === undefined) continue;
    const samples = metrics.get(name) ?? [];
    samples.push({ labels: labelsOf(found?.['labels'] ?? ''), value });
    metrics.set(name, samples);
  }
  return metrics;
}

function numberOf(text: string): number | undefined {
  if (text === '+Inf' || text === 'Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  const value = Number(text);
  return text === '' || Number.isNaN(value) ? undefined : value;
}

function labelsOf(text: string): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (const { groups } of text.matchAll(LABEL)) {
    const value = (groups?.['value'] ?? '').replaceAll(/\\(.)/gu, (_, c: string) => (c === 'n' ? '\n' : c));
    labels.set(groups?.['key'] ?? '', value);
  }
  return labels;
}

/** The sum of a metric's samples that carry the given label values; undefined when there is no such sample. */
export function sumOf(
  metrics: Metrics,
  name: string,
  where: Record<string, string> = {},
): number | undefined {
  const wanted = Object.entries(where);
  const samples = (metrics.get(name) ?? []).filter(s => wanted.every(([k, v]) => s.labels.get(k) === v));
  return samples.length === 0 ? undefined : samples.reduce((sum, s) => sum + s.value, 0);
}

/** The samples of a metric added up by the value of one label, largest first. */
export function sumsBy(
  metrics: Metrics,
  name: string,
  label: string,
): readonly (readonly [string, number])[] {
  const sums = new Map<string, number>();
  for (const s of metrics.get(name) ?? []) {
    const key = s.labels.get(label) ?? '';
    sums.set(key, (sums.get(key) ?? 0) + s.value);
  }
  return [...sums].sort((a, b) => b[1] - a[1]);
}

/**
 * A quantile of a histogram, all label values together, interpolated within its bucket as Prometheus does. With
 * `since`, only what was counted after that page. Undefined when nothing was counted.
 */
export function quantileOf(
  metrics: Metrics,
  histogram: string,
  q: number,
  since?: Metrics,
): number | undefined {
  const counts = bucketsOf(metrics, histogram);
  if (since !== undefined) {
    for (const [bound, count] of bucketsOf(since, histogram))
      counts.set(bound, (counts.get(bound) ?? 0) - count);
  }
  const buckets = [...counts].sort((a, b) => a[0] - b[0]);
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total <= 0) return undefined;
  const rank = q * total;
  let lower = 0;
  let below = 0;
  for (const [bound, count] of buckets) {
    if (count >= rank) {
      if (bound === Infinity) return lower;
      return count === below ? bound : lower + ((bound - lower) * (rank - below)) / (count - below);
    }
    lower = bound;
    below = count;
  }
  return lower;
}

/** Cumulative counts by upper bound, summed over all other labels. */
function bucketsOf(metrics: Metrics, histogram: string): Map<number, number> {
  const buckets = new Map<number, number>();
  for (const s of metrics.get(`${histogram}_bucket`) ?? []) {
    const bound = numberOf(s.labels.get('le') ?? '');
    if (bound !== undefined) buckets.set(bound, (buckets.get(bound) ?? 0) + s.value);
  }
  return buckets;
}
