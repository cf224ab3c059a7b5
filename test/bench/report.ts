// SPDX-License-Identifier: Apache-2.0
// What a measurement returns, and the table a person reads. No measuring here.
import { figure, ratio, type Figure, type Samples } from './measure.js';

/** One figure of everybody who took part. Samples with the same index come from the same round. */
export interface Row {
  readonly figure: string;
  readonly unit: string;
  /** Whether a larger value is the better one. */
  readonly more: boolean;
  readonly sides: readonly {
    readonly name: string;
    readonly value: Figure;
    readonly samples: readonly number[];
  }[];
}

/** Builds a row from samples by name; whoever has none is left out. */
export function row(figureName: string, unit: string, more: boolean, samples: Samples): Row {
  return {
    figure: figureName,
    unit,
    more,
    sides: [...samples.all]
      .filter(([, values]) => values.some(value => !Number.isNaN(value)))
      .map(([name, values]) => ({ name, value: figure(values), samples: values })),
  };
}

const short = (value: number): string =>
  value >= 1000
    ? Math.round(value).toLocaleString('en')
    : value >= 100
      ? value.toFixed(0)
      : value.toPrecision(3);

/**
 * Markdown: medians, and in brackets the value of `base` divided by the other's, round by round. `names` says which
 * sides have a column beside it, and in what order.
 */
export function table(rows: readonly Row[], base: string, names: readonly string[]): string {
  const taking = rows.filter(one => one.sides.some(side => side.name === base));
  const others = names.filter(
    name => name !== base && taking.some(one => one.sides.some(side => side.name === name)),
  );
  const head = ['figure', 'unit', 'better', base, ...others];
  const lines = taking.map(one => {
    const own = one.sides.find(side => side.name === base);
    const beside = others.map(name => {
      const peer = one.sides.find(side => side.name === name);
      if (peer === undefined || own === undefined) return '';
      return `${short(peer.value.median)} (×${ratio(own.samples, peer.samples).median.toFixed(2)})`;
    });
    const better = one.more ? 'more' : 'less';
    return [one.figure, one.unit, better, short(own?.value.median ?? Number.NaN)].concat(beside);
  });
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map(line => line[column]?.length ?? 0)),
  );
  const draw = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return `${[draw(head), draw(widths.map(width => '-'.repeat(width))), ...lines.map(draw)].join('\n')}\n`;
}
