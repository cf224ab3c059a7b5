// SPDX-License-Identifier: Apache-2.0
// `peerpod ps`: the sandboxes of an adaptor, one line each.
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { roughly } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { tableOf } from '../terminal/table.js';
import { printable } from '../terminal/text.js';
import { type SandboxRow, readSandboxes } from './endpoint.js';

export interface PsValues {
  readonly address: string;
  readonly quiet: boolean;
  readonly json: boolean;
}

export async function ps({ values, out }: Line<PsValues>, io: Io): Promise<number> {
  const { rows, told } = await readSandboxes(values.address);
  if (values.json) io.stdout.write(`${JSON.stringify({ sandboxes: told }, null, 2)}\n`);
  else if (values.quiet) io.stdout.write(rows.map(row => `${printable(row.id)}\n`).join(''));
  else if (rows.length === 0) io.stderr.write('no sandboxes\n');
  else {
    const width = io.stdout.isTTY === true ? io.stdout.columns : undefined;
    io.stdout.write(`${sandboxTable(rows, out, new Date(), { width }).join('\n')}\n`);
  }
  return ExitCode.ok;
}

/** The table of sandboxes, with a heading. Ids and pods stay whole in every width. */
export function sandboxTable(
  rows: readonly SandboxRow[],
  style: Style,
  now: Date,
  o: { readonly width?: number | undefined } = {},
): string[] {
  const heading = ['ID', 'POD', 'STATE', 'FOR', 'ADDRESS', 'SOCKET'].map(style.dim);
  const body = rows.map(row => [
    printable(row.id),
    printable(row.namespace === '' ? row.pod : `${row.namespace}/${row.pod}`),
    stateText(row, style),
    row.since === null ? '' : roughly(now.getTime() - row.since.getTime()),
    printable(row.addresses.join(',')),
    printable(row.socket),
  ]);
  return tableOf([heading, ...body], 3, o.width);
}

/** The state in its colour: green for what works, yellow for what is on its way, red for what needs a person. */
function stateText(row: SandboxRow, style: Style): string {
  const state = printable(row.state);
  if (row.state === 'running') return style.green(state);
  return row.state === 'failed' || row.error !== '' ? style.red(state) : style.yellow(state);
}
