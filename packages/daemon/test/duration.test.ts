// SPDX-License-Identifier: Apache-2.0
// Durations in Go's syntax, both ways.
import { assert, integer, property } from 'fast-check';
import t from 'tap';
import { formatDuration, parseDuration } from '../src/duration.js';

t.test('what Go reads as a duration is read as the same time', async t => {
  const rows: readonly [string, number][] = [
    ['0', 0],
    ['-0', 0],
    ['0s', 0],
    ['5m', 300_000],
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['1m30.5s', 90_500],
    ['.5s', 500],
    ['1.s', 1000],
    ['250ms', 250],
    ['1us', 0.001],
    ['1µs', 0.001],
    ['1μs', 0.001],
    ['1000000ns', 1],
    ['-1.5s', -1500],
    ['+5s', 5000],
    ['1s1s', 2000],
    ['1ms1h', 3_600_001],
  ];
  for (const [text, ms] of rows)
    t.equal(Math.abs(parseDuration(text) ?? NaN) === 0 ? 0 : parseDuration(text), ms, text);
});

t.test('what Go refuses is refused', async t => {
  for (const text of [
    '',
    '5',
    '1.5',
    's',
    '.s',
    '1x',
    '1 s',
    ' 1s',
    '1s ',
    '--1s',
    '1S',
    '1e3s',
    '1,5s',
    '1d',
    '1s-1s',
    'Infinitys',
    '0x1s',
    `${'9'.repeat(400)}h`,
  ]) {
    t.equal(parseDuration(text), null, JSON.stringify(text));
  }
});

t.test('durations print as Go prints them', async t => {
  const rows: readonly [number, string][] = [
    [0, '0s'],
    [300_000, '5m0s'],
    [5_400_000, '1h30m0s'],
    [1500, '1.5s'],
    [250, '250ms'],
    [0.001, '1µs'],
    [1e-6, '1ns'],
    [90_500, '1m30.5s'],
    [-1500, '-1.5s'],
    [3_600_000, '1h0m0s'],
  ];
  for (const [ms, text] of rows) t.equal(formatDuration(ms), text);
});

t.test('a whole number of milliseconds survives printing and reading', async t => {
  assert(
    property(
      integer({ min: -1e9, max: 1e12 }),
      ms => Math.abs((parseDuration(formatDuration(ms)) ?? NaN) - ms) < 1e-3,
    ),
  );
  t.pass('for random numbers');
});
