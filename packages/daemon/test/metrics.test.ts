// SPDX-License-Identifier: Apache-2.0
// Figures that alerts can be made of: there at zero, and named as Prometheus wants it.
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { countFrom0, createRegistry, timeFrom0 } from '../src/metrics.js';

function filled() {
  const register = createRegistry('prog');
  const losses = countFrom0({
    name: 'peerpod_losses_total',
    help: 'Links lost, by cause.',
    label: 'cause',
    values: ['reset', 'silence'],
    register,
  });
  const phases = timeFrom0(
    { name: 'peerpod_phase_seconds', help: 'Phases.', label: 'phase', values: ['boot', 'dial'], register },
    [0.1, 1],
  );
  return { register, losses, phases };
}

t.test('counters and histograms exist at zero for every value, and count from there', async t => {
  const { register, losses, phases } = filled();
  const before = await register.metrics();
  for (const line of [
    'peerpod_losses_total{cause="reset"} 0',
    'peerpod_losses_total{cause="silence"} 0',
    'peerpod_phase_seconds_bucket{le="0.1",phase="boot"} 0',
    'peerpod_phase_seconds_count{phase="dial"} 0',
  ])
    t.ok(before.includes(`${line}\n`), line);
  losses.inc('reset');
  losses.inc('reset', 2);
  phases.observe('boot', 0.5);
  const after = await register.metrics();
  for (const line of [
    'peerpod_losses_total{cause="reset"} 3',
    'peerpod_losses_total{cause="silence"} 0',
    'peerpod_phase_seconds_bucket{le="0.1",phase="boot"} 0',
    'peerpod_phase_seconds_bucket{le="1",phase="boot"} 1',
    'peerpod_phase_seconds_sum{phase="boot"} 0.5',
  ])
    t.ok(after.includes(`${line}\n`), line);
});

t.test('every metric has HELP and TYPE, and only counters end in _total', async t => {
  const text = await filled().register.metrics();
  const types = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => [name, type]),
  );
  const helps = new Set([...text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name));
  for (const [, series = ''] of text.matchAll(/^([a-z]\w*)/gm)) {
    const name = types.has(series) ? series : series.replace(/_(?:bucket|sum|count)$/, '');
    t.ok(types.has(name) && helps.has(name), series);
  }
  for (const [name, type] of types) t.equal(name.endsWith('_total'), type === 'counter', name);
});

const promtool = spawnSync('promtool', ['--version']).status === 0;
t.test(
  'promtool finds nothing to complain of',
  { skip: !promtool && 'needs promtool (Debian: prometheus)' },
  async t => {
    const text = await filled().register.metrics();
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    t.match(checked, { status: 0, stdout: '', stderr: '' });
  },
);
