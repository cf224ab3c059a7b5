// SPDX-License-Identifier: Apache-2.0
// What a measurement returns, and the table a person reads. No measuring here.
import { ratio, type Figure } from './measure.js';

/** One figure of everybody who took part. Samples with the same index come from the same round. */
export interface Row {
  readonly figure: string;
  readonly unit: string;
  /** Whether a larger value is the better one. */
  readonly more: boolean;
  readonly ours: Figure;
  readonly peers: readonly { readonly name: string; readonly value: Figure; readonly ratio: Figure }[];
}

/** Builds a row from samples by name; `ours` must be among them. */
export function row(
  figureName: string,
  unit: string,
  more: boolean,
  samples: ReadonlyMap<string, readonly number[]>,
  sum: (s: readonly number[]) => Figure,
): Row {
  const own = samples.get('ours') ?? [];
  return {
    figure: figureName,
    unit,
    more,
    ours: sum(own),
    peers: [...samples]
      .filter(([name]) => name !== 'ours')
      .map(([name, values]) => ({ name, value: sum(values), ratio: ratio(own, values) })),
  };
}

const short = (value: number): string =>
  value >= 1000
    ? Math.round(value).toLocaleString('en')
    : value >= 100
      ? value.toFixed(0)
      : value.toPrecision(3);

/** Markdown: medians, and in brackets our value divided by the peer's, round by round. */
export function table(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap(one => one.peers.map(peer => peer.name)))];
  const head = ['figure', 'unit', 'better', 'ours', ...names];
  const lines = rows.map(one => [
    one.figure,
    one.unit,
    one.more ? 'more' : 'less',
    short(one.ours.median),
    ...names.map(name => {
      const peer = one.peers.find(candidate => candidate.name === name);
      return peer === undefined ? '' : `${short(peer.value.median)} (×${peer.ratio.median.toFixed(2)})`;
    }),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map(line => line[column]?.length ?? 0)),
  );
  const draw = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return `${[draw(head), draw(widths.map(width => '-'.repeat(width))), ...lines.map(draw)].join('\n')}\n`;
}
