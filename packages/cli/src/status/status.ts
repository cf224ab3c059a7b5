// SPDX-License-Identifier: Apache-2.0
// `peerpod status`: an adaptor's readiness, figures and sandboxes at one moment.
import { agentMethods, agentServiceName, traitsOf } from '@peerpod-tls/agent-protocol';
import { type Command, ExitCode, jsonFlag, readCommandLine } from '../command.js';
import { printable } from '../terminal/text.js';
import { DEFAULT_STATUS_ADDRESS, takeSnapshot } from './endpoint.js';
import { sandboxTable } from './ps.js';
import { processLine, summaryLines } from './status-view.js';
import { summarize } from './summary.js';

const flags = {
  address: {
    type: 'string',
    default: DEFAULT_STATUS_ADDRESS,
    env: 'PEERPOD_STATUS_ADDRESS',
    placeholder: 'HOST:PORT',
    describe: 'status address of the adaptor',
  },
  ...jsonFlag,
} as const;

/** Methods whose duration is that of what they wait for. */
export const waitingMethods: ReadonlySet<string> = new Set(
  agentMethods.filter(method => traitsOf(agentServiceName, method).blocks),
);

export const status: Command = {
  name: 'status',
  summary: 'readiness, links, calls and certificate expiry of an adaptor',
  async run(argv, io) {
    const line = readCommandLine(
      {
        name: 'status',
        usage: '[flags]',
        about:
          'Asks a running cloud-api-adaptor how it is. Exit code 1 when it is not ready or does not answer.',
        flags,
        examples: [
          ['peerpod status', 'the adaptor of this machine'],
          ['peerpod status --json | jq .summary.expiry', 'for scripts'],
        ],
      },
      argv,
      io,
    );
    if (line === null) return ExitCode.ok;
    const { address, json } = line.values;
    const snapshot = await takeSnapshot(address);
    const summary = summarize(snapshot, undefined, waitingMethods);
    const { out: style } = line;
    if (json) {
      io.stdout.write(`${JSON.stringify({ address, summary, sandboxes: snapshot.sandboxes }, null, 2)}\n`);
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
      if (snapshot.sandboxes.length === 0) lines.push(style.dim('no sandboxes'));
      else lines.push(...sandboxTable(snapshot.sandboxes, style, new Date(), { width }));
      io.stdout.write(`${lines.join('\n')}\n`);
    }
    return summary.ready ? ExitCode.ok : ExitCode.failed;
  },
};
