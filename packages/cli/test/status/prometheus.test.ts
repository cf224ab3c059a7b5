// SPDX-License-Identifier: Apache-2.0
import * as fc from 'fast-check';
import t from 'tap';
import { parseMetrics, quantileOf, sumOf, sumsBy } from '../../src/status/prometheus.js';

const page = `# HELP calls Calls.
# TYPE calls counter
calls{method="Check",code="ok"} 7
calls{method="Check",code="unavailable"} 2
calls{method="a \\"quoted\\\\ one\\n",code="ok",} 1 1700000000
up 1.5e3
infinite +Inf
broken{ 3
alone
nan NaN
`;

t.test('samples are read by name, with escaped labels, and what is no sample is passed over', async t => {
  const metrics = parseMetrics(page);
  t.same([...metrics.keys()], ['calls', 'up', 'infinite']);
  t.equal(sumOf(metrics, 'calls'), 10);
  t.equal(sumOf(metrics, 'calls', { code: 'ok' }), 8);
  t.equal(sumOf(metrics, 'calls', { method: 'a "quoted\\ one\n' }), 1);
  t.equal(sumOf(metrics, 'calls', { code: 'never' }), undefined);
  t.equal(sumOf(metrics, 'missing'), undefined);
  t.equal(sumOf(metrics, 'up'), 1500);
  t.same(sumsBy(metrics, 'calls', 'method')[0], ['Check', 9]);
});

t.test('any text is a page', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => parseMetrics(text) instanceof Map),
  );
  const began = performance.now();
  parseMetrics(`a{${'x="\\\\'.repeat(20_000)}\n`);
  t.ok(performance.now() - began < 1000, 'and none of them is slow to read');
});

const histogram = (counts: readonly number[]) =>
  parseMetrics(
    ['0.001', '0.01', '0.1', '+Inf'].map((le, i) => `h_bucket{le="${le}",m="x"} ${counts[i]}`).join('\n'),
  );

const quantile = (...args: Parameters<typeof quantileOf>) => quantileOf(...args)?.toFixed(4);

t.test('quantiles are interpolated within their bucket', async t => {
  t.equal(quantile(histogram([0, 10, 10, 10]), 'h', 0.5), '0.0055');
  t.equal(quantile(histogram([10, 10, 10, 10]), 'h', 1), '0.0010');
  t.equal(quantile(histogram([0, 0, 0, 4]), 'h', 0.5), '0.1000', 'beyond the last bound nothing is known');
  t.equal(quantile(histogram([0, 0, 0, 0]), 'h', 0.5), undefined);
  t.equal(quantile(new Map(), 'h', 0.5), undefined);
  t.equal(
    quantile(histogram([8, 18, 18, 18]), 'h', 0.5, histogram([8, 8, 8, 8])),
    '0.0055',
    'since an earlier page',
  );
});
