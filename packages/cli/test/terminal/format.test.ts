// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import {
  bytes,
  clock,
  count,
  elapsed,
  moment,
  relative,
  roughly,
  shortFingerprint,
  span,
} from '../../src/terminal/format.js';

t.test('bytes are decimal, with one digit behind the point from a thousand on', async t => {
  const rows: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [5_300_000_000, '5.3 GB'],
  ];
  for (const [n, text] of rows) t.equal(bytes(n), text);
});

t.test('spans keep three digits that mean something', async t => {
  const rows: readonly (readonly [number, string])[] = [
    [0.8412, '0.84 ms'],
    [9.99, '9.99 ms'],
    [9.999, '10 ms'],
    [12.4, '12 ms'],
    [999.6, '1.00 s'],
    [1240, '1.24 s'],
    [12_340, '12.3 s'],
    [200_000, '3 min 20 s'],
    [7_260_000, '2 h 1 min'],
    [Number.NaN, '-'],
  ];
  for (const [ms, text] of rows) t.equal(span(ms), text);
});

t.test('the time since the beginning never takes more than seven columns', async t => {
  t.same([0, 417, 999.6, 1240, 68_000, 100_000, 1_000_000, 900_000_000].map(elapsed), [
    '0 ms',
    '417 ms',
    '1.00 s',
    '1.24 s',
    '68.0 s',
    '100.0 s',
    '1000 s',
    '900000 s',
  ]);
});

t.test('long times are told in their largest unit, before and after now', async t => {
  const now = new Date('2026-11-21T09:00:00Z');
  const after = (ms: number) => new Date(now.getTime() + ms);
  t.equal(relative(after(29 * 86_400_000), now), 'in 29 days');
  t.equal(relative(after(29 * 86_400_000 - 400), now), 'in 29 days', 'a moment less is still 29 days');
  t.equal(relative(after(-3 * 3_600_000), now), '3 hours ago');
  t.equal(roughly(1000), '1 second');
  t.equal(roughly(300_000), '5 minutes');
  t.equal(count(0, 'link'), '0 links');
});

t.test('moments, clocks and fingerprints', async t => {
  t.equal(moment(new Date('2026-11-21T09:00:00.789Z')), '2026-11-21 09:00:00 UTC');
  t.equal(moment(new Date(Number.NaN)), 'unreadable date');
  t.same([42_000, 727_000, 10_809_000].map(clock), ['0:42', '12:07', '3:00:09']);
  t.equal(shortFingerprint('AB:CD:EF:01:23:45:67:89:AA:BB'), 'abcdef0123456789…');
  t.equal(shortFingerprint('abcd'), 'abcd');
});
