// SPDX-License-Identifier: Apache-2.0
// The bench's own arithmetic: its command line, its tables and lines, and what it reads off the wire. Nothing is measured.
import t from 'tap';
import { readCommandLine, usage } from './bench/command-line.js';
import { barsOf, roundAbove, svgOf } from './bench/drawing.js';
import { chartsOf } from './bench/growth.js';
import { cpuUs, figure, ratio, Samples } from './bench/measure.js';
import { inTurn } from './bench/pairs.js';
import { row, table } from './bench/report.js';
import { suiteOf } from './bench/suites.js';
import { growthLabel } from './bench/throughput.js';

const samplesOf = (all: Readonly<Record<string, readonly number[]>>): Samples => {
  const samples = new Samples();
  for (const [name, values] of Object.entries(all)) for (const value of values) samples.add(name, value);
  return samples;
};

t.test('without flags everything is measured, under the Node that runs the bench', async t => {
  t.match(readCommandLine([], '/bin/node'), {
    t: 'run',
    asked: { rounds: 5, seconds: 1, nodes: ['/bin/node'], against: null, output: 'bench.json' },
  });
});

t.test('--only takes several, in the bench’s own order; --node may be given twice', async t => {
  const line = readCommandLine(
    ['--only', 'start,throughput', '--only=links', '--node', 'a', '--node=b', '--against', 'HEAD~1'],
    'node',
  );
  t.match(line, {
    asked: { only: ['throughput', 'links', 'start'], nodes: ['a', 'b'], against: 'HEAD~1' },
  });
});

t.test('what cannot be asked is refused with its name and what there is instead', async t => {
  for (const [args, why] of [
    [['--rounds', '0'], /--rounds is "0", not a whole number from 1/],
    [['--rounds', '1.5'], /--rounds/],
    [['--seconds', 'x'], /--seconds is "x"/],
    [['--only', 'start,memory'], /--only has "memory"; there are throughput, /],
    [['--node', ''], /--node is empty/],
    [['--against', ''], /--against/],
    [['--fast'], /--fast/],
    [['more'], /more/],
  ] as const)
    t.match(readCommandLine(args, 'node'), { t: 'refused', why }, args.join(' '));
});

t.test('the help names every flag and every measurement', async t => {
  t.same(readCommandLine(['--help'], 'node'), { t: 'help' });
  for (const name of [
    '--rounds',
    '--seconds',
    '--only',
    '--node',
    '--against',
    '--output',
    'growth',
    'records',
  ])
    t.match(usage, name);
});

t.test(
  'a median of an even count is the mean of the middle two; ratios are taken round by round',
  async t => {
    t.match(figure([4, 1, 3, 2]), { n: 4, min: 1, median: 2.5, max: 4 });
    t.equal(ratio([2, 40, 6], [1, 10, 6]).median, 2);
  },
);

t.test(
  'a table has one column per side asked for, and leaves out rows that its base has no part in',
  async t => {
    const rows = [
      row(
        'calls',
        'requests/s',
        true,
        samplesOf({ ours: [10, 20], haproxy: [20, 20], 'ours v24': [30, 30] }),
      ),
      row('of others', 'ms', false, samplesOf({ haproxy: [1] })),
      row('memory', 'MiB', false, samplesOf({ ours: [1], haproxy: [Number.NaN] })),
    ];
    t.equal(
      table(rows, 'ours', ['ours', 'haproxy', 'nginx']),
      [
        '| figure | unit       | better | ours | haproxy      |',
        '| ------ | ---------- | ------ | ---- | ------------ |',
        '| calls  | requests/s | more   | 15.0 | 20.0 (×0.75) |',
        '| memory | MiB        | less   | 1.00 |              |',
        '',
      ].join('\n'),
    );
  },
);

t.test('growth is drawn as one line per side, in an SVG and in a terminal', async t => {
  const rows = [
    row(growthLabel(1), 'requests/s', true, samplesOf({ 'a<b': [100], 'no proxy': [900] })),
    row(growthLabel(2), 'requests/s', true, samplesOf({ 'a<b': [200], 'no proxy': [900] })),
  ];
  const charts = chartsOf(rows);
  t.equal(charts.length, 1, 'no line for what was not measured');
  t.match(charts.map(barsOf).join(''), /a<b {2}▅█ {2}100 to 200/u);
  const svg = svgOf(charts);
  t.match(svg, 'a&lt;b');
  t.equal(svg.match(/<polyline/gu)?.length, 1);
  t.notMatch(svg, /NaN|undefined/u);
  t.same([0, 1, 120, 2000, 5001].map(roundAbove), [1, 1, 200, 2000, 10_000]);
});

t.test('the suite is read from a ServerHello, and from nothing else', async t => {
  const hello = (suite: number, id: number): Buffer =>
    Buffer.concat([
      Buffer.from([22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3]),
      Buffer.alloc(32, 7),
      Buffer.from([id]),
      Buffer.alloc(id, 9),
      Buffer.from([suite >> 8, suite & 255, 0]),
    ]);
  t.equal(suiteOf(hello(0x1301, 32)), 'TLS_AES_128_GCM_SHA256');
  t.equal(suiteOf(hello(0x1302, 0)), 'TLS_AES_256_GCM_SHA384');
  t.equal(suiteOf(hello(0xc02b, 0)), 'suite 0xc02b');
  t.equal(suiteOf(hello(0x1301, 32).subarray(0, 60)), null);
  t.equal(suiteOf(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(3))), null);
});

t.test('CPU of a process is what the scheduler counted for all its threads, and rises with work', async t => {
  const before = cpuUs(process.pid);
  const until = process.cpuUsage().user + 20_000;
  while (process.cpuUsage().user < until);
  t.ok(cpuUs(process.pid) - before >= 15_000);
});

t.test('each round begins with another side', async t => {
  t.same(inTurn(['a', 'b', 'c'], 4), ['b', 'c', 'a']);
  t.same(inTurn([], 1), []);
});
