// SPDX-License-Identifier: Apache-2.0
// What a serving demo shows once a second. Lines out of figures; drawing them is the stage's affair.
import { sandboxTable } from '../status/ps.js';
import type { SandboxRow } from '../status/endpoint.js';
import { field, processLine, summaryLines } from '../status/status-view.js';
import type { Summary } from '../status/summary.js';
import { bytes, clock, span } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import type { Heartbeat } from './heartbeat.js';

export interface LiveFigures {
  readonly servingMs: number;
  readonly heartbeat: Heartbeat;
  /** Null when the status endpoint did not answer this time. */
  readonly summary: Summary | null;
  readonly sandboxes: readonly SandboxRow[];
}

const GRAPH = 24;

/** The view for a terminal. */
export function liveLines(f: LiveFigures, style: Style, columns: number): string[] {
  const { bold, dim, red } = style;
  const indented = (lines: readonly string[]) => lines.map(line => `  ${line}`);
  const figures =
    f.summary === null ? [red('the status endpoint does not answer')] : summaryLines(f.summary, style);
  return [
    '',
    ` ${bold('serving')} ${clock(f.servingMs)}  ${dim('Ctrl-C stops it and leaves nothing behind')}`,
    '',
    ...indented([
      roundTrip(f.heartbeat, style),
      ...figures,
      ...(f.summary === null ? [] : processLine(f.summary, style)),
    ]),
    '',
    ...indented(sandboxTable(f.sandboxes, style, new Date(), { width: columns - 3 })),
  ];
}

function roundTrip(h: Heartbeat, style: Style): string {
  if (h.failure !== null) return field('Check', style.red(h.failure), style);
  if (h.last === null) return field('Check', style.dim('not made yet'), style);
  const now = pad9(span(h.last));
  const usual = `p50 ${span(h.quantile(0.5) ?? 0)}  p99 ${span(h.quantile(0.99) ?? 0)}`;
  return field(
    'Check',
    `${style.green(now)} ${style.cyan(h.graph(GRAPH, style.sign.bars))}  ${style.dim(usual)}`,
    style,
  );
}

const pad9 = (text: string) => text.padEnd(9);

/** The same on one line, for an output that is no terminal. */
export function liveLine(f: LiveFigures): string {
  const h = f.heartbeat;
  const check =
    h.failure === null ? `Check ${h.last === null ? '-' : span(h.last)}` : `Check failed: ${h.failure}`;
  if (f.summary === null)
    return `serving ${clock(f.servingMs)}, ${check}, no answer from the status endpoint`;
  const { links, calls, requestBytes, responseBytes } = f.summary;
  return (
    `serving ${clock(f.servingMs)}, ${check}, ${links} open links, ${calls} calls, ` +
    `${bytes(requestBytes)} in requests, ${bytes(responseBytes)} in answers`
  );
}

/** The same for a script. */
export function liveFields(f: LiveFigures): Record<string, unknown> {
  return {
    servingMs: Math.round(f.servingMs),
    checkMs: f.heartbeat.last,
    failure: f.heartbeat.failure,
    summary: f.summary,
  };
}
