// SPDX-License-Identifier: Apache-2.0
// `peerpod proxy list`: the proxies of this node with the sandboxes whose connections they carry.
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { roughly } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { tableOf } from '../terminal/table.js';
import { printable } from '../terminal/text.js';
import { type FoundProxy, type ProxySandbox, findProxies } from './proxies.js';

export interface ProxyListValues {
  readonly 'state-dir': string;
  readonly 'proxy-socket': string;
  readonly json: boolean;
}

export async function listProxies({ values, out }: Line<ProxyListValues>, io: Io): Promise<number> {
  const found = await findProxies({
    stateDir: values['state-dir'],
    proxySocket: values['proxy-socket'],
  });
  if (values.json) {
    const proxies = found.map(one => (one.t === 'running' ? { ...one.proxy, error: '' } : silent(one)));
    io.stdout.write(`${JSON.stringify({ proxies }, null, 2)}\n`);
    return ExitCode.ok;
  }
  if (found.length === 0) {
    io.stderr.write('no proxy runs here; give -state-dir when the adaptor keeps its state elsewhere\n');
    return ExitCode.ok;
  }
  const width = io.stdout.isTTY === true ? io.stdout.columns : undefined;
  io.stdout.write(`${proxyTable(found, out, width).join('\n')}\n`);
  for (const one of found) {
    if (one.t === 'silent')
      io.stderr.write(
        `${printable(one.generation || one.control)} does not answer: ${printable(one.error)}\n`,
      );
    else if (one.proxy.pendingStops.length > 0)
      io.stderr.write(
        `${printable(one.proxy.generation)} keeps the StopVM of ${one.proxy.pendingStops.map(printable).join(', ')} for the next adaptor\n`,
      );
  }
  return ExitCode.ok;
}

function silent(one: Extract<FoundProxy, { t: 'silent' }>): object {
  const { generation, control, error } = one;
  return {
    generation,
    control,
    pid: null,
    version: '',
    startedAt: null,
    retired: false,
    socket: '',
    pendingStops: [],
    sandboxes: null,
    error,
  };
}

function proxyTable(found: readonly FoundProxy[], style: Style, width: number | undefined): string[] {
  const heading = ['GENERATION', 'PID', 'STATE', 'SANDBOX', 'POD', 'SHIMS', 'FOR'].map(style.dim);
  const body = found.flatMap(one => {
    if (one.t === 'silent') return [[printable(one.generation), '-', style.red('silent'), '', '', '', '']];
    const { generation, pid, retired, sandboxes } = one.proxy;
    const state = retired ? style.yellow('retired') : style.green('serving');
    const first = [printable(generation), String(pid), state];
    if (sandboxes.length === 0) return [[...first, '-', '', '', '']];
    return sandboxes.map((row, n) => (n === 0 ? first : ['', '', '']).concat(cellsOf(row)));
  });
  return tableOf([heading, ...body], 4, width);
}

function cellsOf(row: ProxySandbox): string[] {
  const since = row.openedAt === null ? '' : roughly(Date.now() - new Date(row.openedAt).getTime());
  return [printable(row.id), printable(row.pod), String(row.connections), since];
}
