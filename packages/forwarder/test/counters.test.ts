// SPDX-License-Identifier: Apache-2.0
// What the forwarder counts, and that nobody outside can make more series of it.
import t from 'tap';

import { Counters } from '../src/counters.js';

t.test('an agent that invents status codes makes one series more', async t => {
  const counters = new Counters();
  const { observer } = counters;
  observer.counter?.('grpc.Health', 'Check')(0, 1);
  observer.counter?.('grpc.Health', 'Check')(16, 1);
  for (let at = 0; at < 100; at += 1) {
    observer.counter?.('grpc.Health', 'Check')(17 + at, 1);
    observer.counter?.('grpc.Health', 'Check')(-1 - at, 1);
  }
  observer.bytes?.('request', 10);
  observer.bytes?.('response', 20);
  observer.bytes?.('response', 1);
  counters.linkLost('stalled');
  const text = await counters.metrics();
  const figures = text.split('\n').filter(line => /^peerpod_forwarder_(?:calls|bytes)_total/u.test(line));
  t.strictSame(figures, [
    'peerpod_forwarder_calls_total{code="0"} 1',
    'peerpod_forwarder_calls_total{code="16"} 1',
    'peerpod_forwarder_calls_total{code="other"} 200',
    'peerpod_forwarder_bytes_total{direction="request"} 10',
    'peerpod_forwarder_bytes_total{direction="response"} 21',
  ]);
  t.match(text, /^peerpod_forwarder_link_losses_total\{cause="stalled"\} 1$/mu);
  for (const line of text.split('\n').filter(line => line !== ''))
    t.match(line, /^(# (HELP|TYPE) \w+ .|\w+(\{[^{}]*\})? \S+$)/u);
});
