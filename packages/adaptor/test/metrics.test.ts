// SPDX-License-Identifier: Apache-2.0
// Metrics: names, and labels that no caller can make more of.
import { LOSS_CAUSES } from '@peerpod-tls/link';
import t from 'tap';
import { Metrics } from '../src/metrics.js';

t.test("a caller's words never become a label", async t => {
  const metrics = new Metrics({ sandboxes: () => [], expiries: () => [], openLinks: () => 3 });
  const { observer } = metrics;
  for (let at = 0; at < 100; at += 1) {
    observer.callEnded?.('grpc.AgentService', `Made${at}`, 12, 1);
    observer.callEnded?.(`evil${at}`, 'Check', 200 + at, 1);
    metrics.refused(`rule ${at}`);
  }
  observer.callEnded?.('grpc.Health', 'Check', 0, 2);
  observer.callEnded?.('grpc.AgentService', 'CreateContainer', 3, 2);
  observer.bytes?.('request', 10);
  observer.bytes?.('response', 20);
  metrics.refused('wrong-name');
  const text = await metrics.source.metrics();
  const calls = text.split('\n').filter(line => line.startsWith('peerpod_calls_total{'));
  t.strictSame(calls.toSorted(), [
    'peerpod_calls_total{method="Check",code="ok"} 1',
    'peerpod_calls_total{method="CreateContainer",code="invalidArgument"} 1',
    'peerpod_calls_total{method="other",code="other"} 100',
    'peerpod_calls_total{method="other",code="unimplemented"} 100',
  ]);
  t.match(text, /peerpod_refusals_total\{rule="other"\} 100/);
  t.match(text, /peerpod_refusals_total\{rule="wrong-name"\} 1/);
  t.match(text, /peerpod_bytes_total\{direction="response"\} 20/);
  t.match(text, /peerpod_links 3/);
  t.match(text, /peerpod_call_duration_seconds_bucket\{le="0.0025",method="Check"\} 1/);
  t.match(text, /peerpod_call_duration_seconds_bucket\{le="0.001",method="Check"\} 0/);
  t.match(text, /peerpod_call_duration_seconds_bucket\{le="\+Inf",method="Check"\} 1/);
  t.match(text, /peerpod_call_duration_seconds_sum\{method="Check"\} 0.002\n/);
  t.match(text, /peerpod_transfer_bytes_bucket\{le="64",direction="request"\} 1/);
  t.match(text, /peerpod_sandboxes\{state="running"\} 0/);
  for (const line of text.split('\n').filter(line => line !== ''))
    t.match(line, /^(# (HELP|TYPE) \w+ .|\w+(\{[^{}]*\})? \S+$)/);
});

t.test('losses and redials are counted by a closed set of causes, losses from the start', async t => {
  const metrics = new Metrics({ sandboxes: () => [], openLinks: () => 0, expiries: () => [] });
  const { observer } = metrics;
  const before = await metrics.source.metrics();
  t.match(before, /^peerpod_link_losses_total\{cause="stalled"\} 0$/m);
  observer.upstreamLost?.('stalled');
  observer.upstreamLost?.('reset');
  observer.upstreamLost?.('reset');
  observer.redialled?.(250, 1, 2);
  observer.redialled?.(250, 0, 0);
  observer.notRedialled?.('refused');
  const text = await metrics.source.metrics();
  const figures = text
    .split('\n')
    .filter(line => /^peerpod_(?:link_losses|redial(?:s|_failures))_total/.test(line));
  const causes = figures.filter(line => line.startsWith('peerpod_link_losses_total'));
  t.equal(causes.length, LOSS_CAUSES.length);
  t.strictSame(
    figures.filter(line => !line.endsWith(' 0')),
    [
      'peerpod_link_losses_total{cause="reset"} 2',
      'peerpod_link_losses_total{cause="stalled"} 1',
      'peerpod_redials_total{result="ok"} 2',
      'peerpod_redials_total{result="failed"} 1',
      'peerpod_redial_failures_total{cause="refused"} 1',
    ],
  );
});

t.test('the first expiry of each kind counts, and a kind without certificates has no value', async t => {
  const at = (seconds: number): Date => new Date(Date.now() + seconds * 1000);
  const metrics = new Metrics({
    sandboxes: () => [],
    openLinks: () => 0,
    expiries: () => [
      { kind: 'bundle', subject: 'a', notAfter: at(1000) },
      { kind: 'bundle', subject: 'b', notAfter: at(100) },
      { kind: 'client', subject: 'c', notAfter: at(-50) },
    ],
  });
  const text = await metrics.source.metrics();
  t.match(text, /peerpod_certificate_expiry_seconds\{kind="bundle"\} (99\.|100)/);
  t.match(text, /peerpod_certificate_expiry_seconds\{kind="client"\} -50/);
  t.notMatch(text, /kind="ca"|kind="leaf"/);
});
