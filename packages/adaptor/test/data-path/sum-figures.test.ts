// SPDX-License-Identifier: Apache-2.0
// Several proxies' figures as one text.
import t from 'tap';
import { sumFigures } from '../../src/data-path/sum-figures.js';

const text = (get: number, other: string): string =>
  [
    '# HELP calls_total Calls.',
    '# TYPE calls_total counter',
    `calls_total{method="Get",code="ok"} ${get}`,
    other,
    '',
  ].join('\n');

t.test('values of one series are added, and series of one proxy alone are kept', async t => {
  t.equal(
    sumFigures([
      text(2, 'calls_total{method="A b",code="ok"} 1'),
      text(0.5, 'calls_total{method="C",code="ok"} 4'),
    ]),
    [
      '# HELP calls_total Calls.',
      '# TYPE calls_total counter',
      'calls_total{method="Get",code="ok"} 2.5',
      'calls_total{method="A b",code="ok"} 1',
      'calls_total{method="C",code="ok"} 4',
      '',
    ].join('\n'),
  );
});

t.test('a family that only a newer proxy has comes with its head, once', async t => {
  const newer = '# HELP fresh_total New.\n# TYPE fresh_total counter\nfresh_total 7\n';
  t.equal(
    sumFigures([text(1, ''), text(1, '') + newer, newer]),
    text(2, '').replace(/\n+$/, '\n') + newer.replace('7', '14'),
  );
});

t.test('a gauge is no sum: the first proxy that has it says it', async t => {
  const gauge = (value: number): string => `# HELP on 1 or 0.\n# TYPE on gauge\non ${value}\n`;
  t.equal(sumFigures([gauge(1), gauge(0), gauge(1)]), gauge(1));
});

t.test('the text of one proxy is passed on as it is, and no proxy has no text', async t => {
  t.equal(sumFigures([text(1, '')]), text(1, ''));
  t.equal(sumFigures([]), '');
  t.equal(sumFigures(['', '']), '');
});
