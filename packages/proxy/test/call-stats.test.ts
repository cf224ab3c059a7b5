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
