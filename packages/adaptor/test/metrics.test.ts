// SPDX-License-Identifier: Apache-2.0
// Metrics: names, and labels that no caller can make more of.
import { LOSS_CAUSES } from '@peerpod-tls/link';
import t from 'tap';
import { Metrics } from '../src/metrics.js';

const idle = {
  sandboxes: () => [],
  expiries: () => [],
  threads: async () => [
    { thread: 1, sandboxes: 2, connections: 1, busySeconds: 1.5 },
    { thread: 2, sandboxes: 1, connections: 2, busySeconds: 0.5 },
  ],
  providerReady: () => true,
  withoutShim: () => 0,
  callFigures: async () => 'calls_of_the_data_plane 1\n',
};

t.test(
  'a rule nobody knows becomes no label, and what the data plane counts is part of the text',
  async t => {
    const metrics = new Metrics(idle);
    for (let at = 0; at < 100; at += 1) metrics.proxyEvent({ t: 'refused', rule: `rule ${at}` });
    metrics.proxyEvent({ t: 'refused', rule: 'wrong-name' });
    metrics.proxyEvent({ t: 'thread-lost', thread: 1, sandboxes: 3 });
    const text = await metrics.source.metrics();
    t.match(text, /peerpod_refusals_total\{rule="other"\} 100/);
    t.match(text, /peerpod_refusals_total\{rule="wrong-name"\} 1/);
    t.match(text, /peerpod_links 3/);
    t.match(text, /peerpod_data_path_sandboxes\{thread="1"\} 2\n.*thread="2"\} 1\n/);
    t.match(text, /peerpod_data_path_links\{thread="2"\} 2/);
    t.match(text, /peerpod_data_path_busy_seconds_total\{thread="1"\} 1.5/);
    t.match(text, /peerpod_data_path_threads_lost_total 1/);
    t.match(text, /peerpod_sandboxes\{state="running"\} 0/);
    t.match(text, /^calls_of_the_data_plane 1$/m);
    for (const line of text.split('\n').filter(line => line !== ''))
      t.match(line, /^(# (HELP|TYPE) \w+ .|\w+(\{[^{}]*\})? \S+$)/);
  },
);

t.test('every counter and histogram is there with zero before anything has happened', async t => {
  const text = await new Metrics(idle).source.metrics();
  for (const series of [
    'peerpod_link_losses_total{cause="stalled"}',
    'peerpod_redials_total{result="failed"}',
    'peerpod_redial_failures_total{cause="refused"}',
    'peerpod_redial_calls_total{outcome="unavailable"}',
    'peerpod_refusals_total{rule="expired"}',
    'peerpod_instance_deletions_total{result="failed"}',
    'peerpod_certificate_reloads_total{result="refused"}',
    'peerpod_dead_sandboxes_stopped_total{result="failed"}',
    'peerpod_certificates_issued_total',
    'peerpod_protocol_errors_total',
    'peerpod_start_duration_seconds_count{result="failed"}',
    'peerpod_start_phase_duration_seconds_count{phase="agent"}',
    'peerpod_handshake_duration_seconds_count',
  ])
    t.ok(text.includes(`\n${series} 0\n`), series);
  const typed = [...text.matchAll(/^# TYPE (\w+) (?:counter|histogram)$/gm)].map(([, name]) => name ?? '');
  t.ok(typed.length > 10);
  for (const name of typed.filter(name => name.startsWith('peerpod_')))
    t.match(text, new RegExp(`^${name}(?:_count)?(?:\\{[^}]*\\})? `, 'm'), `${name} has a value`);
});

t.test('losses and redials are counted by a closed set of causes', async t => {
  const metrics = new Metrics(idle);
  metrics.proxyEvent({ t: 'lost', cause: 'stalled' });
  metrics.proxyEvent({ t: 'lost', cause: 'reset' });
  metrics.proxyEvent({ t: 'lost', cause: 'reset' });
  metrics.proxyEvent({ t: 'redialled', ms: 250, replayed: 1, unavailable: 2 });
  metrics.proxyEvent({ t: 'redialled', ms: 250, replayed: 0, unavailable: 0 });
  metrics.proxyEvent({ t: 'not-redialled', cause: 'refused' });
  const text = await metrics.source.metrics();
  const figures = text
    .split('\n')
    .filter(line => /^peerpod_(?:link_losses|redial(?:s|_failures|_calls))_total/.test(line));
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
      'peerpod_redial_calls_total{outcome="replayed"} 1',
      'peerpod_redial_calls_total{outcome="unavailable"} 2',
    ],
  );
});

t.test('the first expiry of each kind counts, and a kind without certificates has no value', async t => {
  const at = (seconds: number): Date => new Date(Date.now() + seconds * 1000);
  const metrics = new Metrics({
    ...idle,
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
