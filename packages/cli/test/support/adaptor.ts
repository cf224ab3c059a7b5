// SPDX-License-Identifier: Apache-2.0
// A real cloud-api-adaptor with the local provider, in a directory of the test's own; everything is gone after the test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { parseLogLine, readLog } from '../../src/demo/log-events.js';
import { MARK, sweep } from '../../src/demo/sweep.js';
import { shortDirectory } from './program.js';

export interface RunningAdaptor {
  readonly dir: string;
  /** The hypervisor socket. */
  readonly socket: string;
  /** host:port of its status endpoint. */
  readonly status: string;
}

export async function startAdaptor(t: Test): Promise<RunningAdaptor> {
  const dir = shortDirectory(t);
  const socket = `${dir}/hypervisor.sock`;
  const program = fileURLToPath(import.meta.resolve('@peerpod-tls/adaptor/bin'));
  const flags = [
    '-socket',
    socket,
    '-pods-dir',
    `${dir}/pods`,
    '-data-dir',
    `${dir}/vm`,
    '-status-address',
    '127.0.0.1:0',
  ];
  const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, program, 'local', ...flags], {
    env: { PATH: process.env['PATH'], [MARK]: dir },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'close');
  t.teardown(async () => {
    sweep(dir, { keep: false });
    await ended;
  });
  const lines: string[] = [];
  const status = await new Promise<string>((resolve, reject) => {
    void readLog(child.stderr, line => {
      lines.push(line);
      const event = parseLogLine(line);
      if (event?.message === 'adaptor started') resolve(event.text('status'));
    });
    void ended.then(() => reject(new Error(`the adaptor did not start:\n${lines.join('\n')}`)));
  });
  return { dir, socket, status };
}
