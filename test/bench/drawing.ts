// SPDX-License-Identifier: Apache-2.0
// Growth as lines: an SVG file for the page, and small bars for a terminal. Points in, text out.
export interface Line {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly Line[];
}

const WIDTH = 720;
const HEIGHT = 360;
const MARGIN = { left: 70, right: 170, top: 36, bottom: 44 };
const COLOURS = [
  '#0b5fff',
  '#d1495b',
  '#2e933c',
  '#8f5bd1',
  '#e08e0b',
  '#008c95',
  '#6b4f3a',
  '#777777',
  '#c2185b',
  '#333333',
];

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const short = (value: number): string =>
  value >= 1000 ? `${Number((value / 1000).toPrecision(3))}k` : `${Number(value.toPrecision(3))}`;

/** A round number at or above a value: 1, 2 or 5 times a power of ten. */
export function roundAbove(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find(times => times * power >= value) ?? 10) * power;
}

function drawChart(chart: Chart, top: number): string {
  const points = chart.lines.flatMap(line => line.points);
  const xs = [...new Set(points.map(point => point.x))].sort((a, b) => a - b);
  const [least, most] = [Math.log2(xs[0] ?? 1), Math.log2(xs.at(-1) ?? 2)];
  const yTop = roundAbove(Math.max(0, ...points.map(point => point.y)));
  const [w, h] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const atX = (x: number): number =>
    Math.round(MARGIN.left + (most === least ? 0 : ((Math.log2(x) - least) / (most - least)) * w));
  const atY = (y: number): number => Math.round(top + MARGIN.top + h - (y / yTop) * h);
  const bottom = atY(0);
  const out = [
    `<text x="${MARGIN.left}" y="${top + 20}" font-weight="bold">${escaped(chart.title)}</text>`,
    `<text x="${MARGIN.left + w / 2}" y="${bottom + 36}" text-anchor="middle">${escaped(chart.xLabel)}</text>`,
    `<text x="16" y="${top + MARGIN.top + h / 2}" text-anchor="middle" transform="rotate(-90 16 ${top + MARGIN.top + h / 2})">${escaped(chart.yLabel)}</text>`,
  ];
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const y = atY(yTop * part);
    out.push(
      `<line x1="${MARGIN.left}" y1="${y}" x2="${MARGIN.left + w}" y2="${y}" stroke="#ddd"/>`,
      `<text x="${MARGIN.left - 6}" y="${y + 4}" text-anchor="end">${short(yTop * part)}</text>`,
    );
  }
  for (const x of xs)
    out.push(`<text x="${atX(x)}" y="${bottom + 18}" text-anchor="middle">${short(x)}</text>`);
  for (const [index, line] of chart.lines.entries()) {
    const colour = COLOURS[index % COLOURS.length] ?? '#000';
    const path = line.points.map(({ x, y }) => `${atX(x)},${atY(y)}`).join(' ');
    const y = top + MARGIN.top + 8 + index * 18;
    out.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      `<line x1="${MARGIN.left + w + 12}" y1="${y}" x2="${MARGIN.left + w + 32}" y2="${y}" stroke="${colour}" stroke-width="2"/>`,
      `<text x="${MARGIN.left + w + 38}" y="${y + 4}">${escaped(line.name)}</text>`,
    );
  }
  return out.join('\n');
}

/** All charts below each other in one SVG. The horizontal axis is logarithmic. */
export function svgOf(charts: readonly Chart[]): string {
  const height = HEIGHT * charts.length;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
${charts.map((chart, index) => drawChart(chart, index * HEIGHT)).join('\n')}
</svg>
`;
}

const BARS = '▁▂▃▄▅▆▇█';

/** One line of bars for each side, all on one scale that begins at zero, with its first and last value. */
export function barsOf(chart: Chart): string {
  const most = Math.max(0, ...chart.lines.flatMap(line => line.points.map(point => point.y)));
  const width = Math.max(0, ...chart.lines.map(line => line.name.length));
  const bar = (y: number): string => BARS[Math.min(7, Math.floor((y / most) * 8))] ?? ' ';
  const xs = [...new Set(chart.lines.flatMap(line => line.points.map(point => point.x)))].sort(
    (a, b) => a - b,
  );
  const lines = chart.lines.map(({ name, points }) => {
    const drawn = xs.map(x => {
      const point = points.find(candidate => candidate.x === x);
      return point === undefined ? ' ' : bar(point.y);
    });
    const ends = `${short(points[0]?.y ?? Number.NaN)} to ${short(points.at(-1)?.y ?? Number.NaN)}`;
    return `  ${name.padEnd(width)}  ${drawn.join('')}  ${ends}`;
  });
  const head = `${chart.title} (${chart.yLabel}; ${chart.xLabel} ${xs.map(short).join(', ')})`;
  return `${[head, ...lines].join('\n')}\n`;
}
