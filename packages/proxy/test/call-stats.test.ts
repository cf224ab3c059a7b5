// SPDX-License-Identifier: Apache-2.0
// Figures of calls: sums, and labels that no caller can make more of.
import t from 'tap';
import { CallStats } from '../src/call-stats.js';

t.test("a caller's words never become a label", async t => {
  const stats = new CallStats();
  for (let at = 0; at < 100; at += 1) {
    stats.counter('grpc.AgentService', `Made${at}`)(12, 1);
    stats.counter(`evil${at}`, 'Check')(200 + at, 1);
  }
  stats.counter('grpc.Health', 'Check')(0, 2);
  stats.counter('grpc.AgentService', 'CreateContainer')(3, 2);
  stats.bytes('request', 10);
  stats.bytes('request', 64);
  stats.bytes('response', 20);
  const text = stats.text();
  t.strictSame(
    text
      .split('\n')
      .filter(line => line.startsWith('peerpod_calls_total{'))
      .toSorted(),
    [
      'peerpod_calls_total{method="Check",code="ok"} 1',
      'peerpod_calls_total{method="CreateContainer",code="invalidArgument"} 1',
      'peerpod_calls_total{method="other",code="other"} 100',
      'peerpod_calls_total{method="other",code="unimplemented"} 100',
    ],
  );
  t.match(text, /peerpod_bytes_total\{direction="response"\} 20/);
  t.match(text, /peerpod_call_duration_seconds_bucket\{le="0.0025",method="Check"\} 1/);
  t.match(text, /peerpod_call_duration_seconds_bucket\{le="0.001",method="Check"\} 0/);
  t.match(text, /peerpod_call_duration_seconds_bucket\{le="\+Inf",method="Check"\} 1/);
  t.match(text, /peerpod_call_duration_seconds_sum\{method="Check"\} 0.002\n/);
  t.match(text, /peerpod_transfer_bytes_bucket\{le="64",direction="request"\} 2/, 'a bound is within');
  for (const line of text.split('\n').filter(line => line !== ''))
    t.match(line, /^(# (HELP|TYPE) \w+ .|\w+(\{[^{}]*\})? \S+$)/);
});

t.test('the figures of several are one sum, and those of another version are none', async t => {
  const one = new CallStats();
  one.counter('grpc.Health', 'Check')(0, 2);
  one.counter('evil', 'x')(200, 40);
  one.bytes('request', 100);
  const sum = new CallStats();
  sum.absorb(one.figures());
  t.equal(sum.text(), one.text());
  sum.absorb(one.figures());
  t.match(sum.text(), /peerpod_calls_total\{method="Check",code="ok"\} 2\n/);
  t.match(sum.text(), /peerpod_call_duration_seconds_sum\{method="other"\} 0.08\n/);
  t.match(sum.text(), /peerpod_bytes_total\{direction="request"\} 200\n/);
  t.match(sum.text(), /peerpod_transfer_bytes_bucket\{le="256",direction="request"\} 2\n/);
  t.throws(() => sum.absorb(one.figures().slice(1)), /internal error/);
});
