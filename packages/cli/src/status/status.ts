// SPDX-License-Identifier: Apache-2.0
// `peerpod status`: an adaptor's readiness, figures and sandboxes at one moment.
import { agentMethods, agentServiceName, traitsOf } from '@peerpod-tls/agent-protocol';
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { printable } from '../terminal/text.js';
import { takeSnapshot } from './endpoint.js';
import { sandboxTable } from './ps.js';
import { processLine, summaryLines } from './status-view.js';
import { summarize } from './summary.js';

/** Methods whose duration is that of what they wait for. */
export const waitingMethods: ReadonlySet<string> = new Set(
  agentMethods.filter(method => traitsOf(agentServiceName, method).blocks),
);

export interface StatusValues {
  readonly address: string;
  readonly json: boolean;
}

export async function status({ values, out: style }: Line<StatusValues>, io: Io): Promise<number> {
  const { address, json } = values;
  const snapshot = await takeSnapshot(address);
  const { rows } = snapshot.sandboxes;
  const summary = summarize(snapshot, undefined, waitingMethods);
  if (json) {
    io.stdout.write(`${JSON.stringify({ address, summary, sandboxes: snapshot.sandboxes.told }, null, 2)}\n`);
  } else {
    const state = summary.ready
      ? style.green(`${style.sign.ok} ready`)
      : style.red(`${style.sign.bad} not ready: ${printable(summary.reason)}`);
    const lines = [`${style.bold('cloud-api-adaptor')} ${style.dim(`at ${address}`)}  ${state}`, ''];
    lines.push(
      ...[...summaryLines(summary, style), ...processLine(summary, style)].map(text => `  ${text}`),
      '',
    );
    const width = io.stdout.isTTY === true ? io.stdout.columns : undefined;
    if (rows.length === 0) lines.push(style.dim('no sandboxes'));
    else lines.push(...sandboxTable(rows, style, new Date(), { width }));
    io.stdout.write(`${lines.join('\n')}\n`);
  }
  return summary.ready ? ExitCode.ok : ExitCode.failed;
}
