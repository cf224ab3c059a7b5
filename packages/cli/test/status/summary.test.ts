// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { parseSandboxes, parseStatusAddress, type Snapshot } from '../../src/status/endpoint.js';
import { parseMetrics } from '../../src/status/prometheus.js';
import { summaryLines } from '../../src/status/status-view.js';
import { summarize } from '../../src/status/summary.js';
import { styleFor } from '../../src/terminal/style.js';

const snapshot = (at: number, page: string): Snapshot => ({
  at,
  ready: { ok: true, reason: 'ok' },
  metrics: parseMetrics(page),
  sandboxes: { rows: [], told: [] },
});
const plain = styleFor({ tty: false, env: {} });

t.test('rates come from two snapshots, and a counter that began anew gives none', async t => {
  const before = snapshot(1000, 'peerpod_calls_total{method="Check",code="ok"} 10\npeerpod_bytes_total 100');
  const after = snapshot(3000, 'peerpod_calls_total{method="Check",code="ok"} 16\npeerpod_bytes_total 50');
  t.equal(summarize(after).callsPerSecond, null);
  t.equal(summarize(after, before).callsPerSecond, 3);
  t.equal(summarize(after, before).bytesPerSecond, null);
});

t.test('reads that end by status and calls that wait by nature do not spoil the figures', async t => {
  const page = `
peerpod_calls_total{method="ReadStdout",code="internal"} 4
peerpod_calls_total{method="Check",code="unavailable"} 1
peerpod_call_duration_seconds_bucket{method="Check",le="0.001"} 10
peerpod_call_duration_seconds_bucket{method="Check",le="+Inf"} 10
peerpod_call_duration_seconds_bucket{method="WaitProcess",le="0.001"} 0
peerpod_call_duration_seconds_bucket{method="WaitProcess",le="+Inf"} 90`;
  const summary = summarize(snapshot(1, page), undefined, new Set(['WaitProcess']));
  t.same(summary.failedCalls, [['unavailable', 1]]);
  t.equal(summary.p50Ms, 0.5);
});

t.test(
  'certificates that end soon and refusals are said, nearest first; what is fine takes no line',
  async t => {
    const page = `
peerpod_certificate_expiry_seconds{kind="ca"} 9000000
peerpod_certificate_expiry_seconds{kind="leaf"} 86400
peerpod_certificate_expiry_seconds{kind="client"} -5
peerpod_refusals_total{rule="expired"} 2
peerpod_orphan_instances 1`;
    const text = summaryLines(summarize(snapshot(1, page)), plain).join('\n');
    t.match(text, /certificates +client expired .+ leaf 24 hours .+ ca 104 days/);
    t.match(text, /refused +expired 2/);
    t.match(text, /1 instance on the platform belong/);
    t.notMatch(text, /failed|bad frames|state/);
  },
);

t.test('an address is host:port', async t => {
  t.same(parseStatusAddress('127.0.0.1:8000'), { host: '127.0.0.1', port: 8000 });
  t.same(parseStatusAddress('[::1]:80'), { host: '::1', port: 80 });
  t.same(parseStatusAddress(':9000'), { host: '127.0.0.1', port: 9000 });
  for (const bad of ['', 'localhost', 'a:0', 'a:70000', '::1:80', 'http://x:80', 'a b:80']) {
    t.throws(() => parseStatusAddress(bad), { code: 'ERR_USAGE' }, bad);
  }
});

t.test('a list of sandboxes is read with care, and anything else is none', async t => {
  t.equal(parseSandboxes('nonsense'), null);
  t.equal(parseSandboxes('[]'), null);
  t.equal(parseSandboxes('null'), null);
  const rows = parseSandboxes(
    '{"sandboxes":[{"id":"a","addresses":["1.2.3.4",null],"since":"2026-11-21T09:00:00Z"},7]}',
  );
  t.match(rows?.rows, [
    { id: 'a', addresses: ['1.2.3.4'], since: new Date('2026-11-21T09:00:00Z'), state: '' },
    { id: '', addresses: [], since: null },
  ]);
});
