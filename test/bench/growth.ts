// SPDX-License-Identifier: Apache-2.0
// Which rows of a run are points of a line: requests per second over calls under way, memory over idle links.
import type { Chart, Line } from './drawing.js';
import { LINK_COUNTS, linksLabel } from './links.js';
import type { Row } from './report.js';
import { CONCURRENCIES, growthLabel } from './throughput.js';

/** Medians of the rows with these labels, by side. */
function linesOf(rows: readonly Row[], xs: readonly number[], label: (x: number) => string): Line[] {
  const found = xs.flatMap(x => {
    const row = rows.find(candidate => candidate.figure === label(x));
    return row === undefined ? [] : [{ x, row }];
  });
  const names = [...new Set(found.flatMap(({ row }) => row.sides.map(side => side.name)))];
  return names.map(name => ({
    name,
    points: found.flatMap(({ x, row }) => {
      const side = row.sides.find(candidate => candidate.name === name);
      return side === undefined ? [] : [{ x, y: side.value.median }];
    }),
  }));
}

export function chartsOf(rows: readonly Row[]): Chart[] {
  const charts = [
    {
      title: 'Requests per second over calls under way, 128 B',
      xLabel: 'calls',
      yLabel: 'requests/s',
      // Without the load on the agent itself, beside which everybody else would be a line along the bottom.
      lines: linesOf(rows, CONCURRENCIES, growthLabel).filter(line => line.name !== 'no proxy'),
    },
    {
      title: 'Memory per idle link and half',
      xLabel: 'links',
      yLabel: 'KiB',
      lines: linesOf(rows, LINK_COUNTS, linksLabel),
    },
  ];
  return charts.filter(chart => chart.lines.length > 0);
}
