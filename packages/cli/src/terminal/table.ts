// SPDX-License-Identifier: Apache-2.0
// Rows of text in aligned columns. It knows widths, not meanings.
import { columnsOf, fit, pad } from './text.js';

export interface TableOptions {
  /** Columns of the terminal; rows are cut to it. Undefined: no limit, which is right for a pipe. */
  readonly width?: number | undefined;
  /** Spaces between columns. Default 2. */
  readonly gap?: number;
  /** Spaces before each row. Default 0. */
  readonly indent?: number;
}

/**
 * The rows as lines that fit into `width`, by leaving columns out from the right. The first `least` columns stay whole
 * whatever the width: a person copies them into the next command.
 */
export function tableOf(
  rows: readonly (readonly string[])[],
  least: number,
  width: number | undefined,
): string[] {
  for (let columns = Math.max(...rows.map(row => row.length)); ; columns--) {
    const lines = table(rows.map(row => row.slice(0, columns)));
    if (columns <= least || width === undefined || lines.every(line => columnsOf(line) <= width))
      return lines;
  }
}

/** The rows as lines. Cells may be coloured; the last column is not padded. */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string[] {
  const gap = ' '.repeat(options.gap ?? 2);
  const indent = ' '.repeat(options.indent ?? 0);
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, columnsOf(cell));
    });
  }
  return rows.map(row => {
    const cells = row.map((cell, i) => (i === row.length - 1 ? cell : pad(cell, widths[i] ?? 0)));
    const line = (indent + cells.join(gap)).trimEnd();
    return options.width === undefined ? line : fit(line, options.width);
  });
}
