// SPDX-License-Identifier: Apache-2.0
// A real cloud-api-adaptor with the local provider, in a directory of the test's own; everything is gone after the test.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { awaitReady, READY_FD } from '@peerpod-tls/daemon/terminal';
import { readLog } from '../../src/demo/log-lines.js';
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
  t.teardown(() => sweep(dir, { keep: false }));
  const { child, status } = await launchAdaptor(dir);
  const ended = once(child, 'close');
  t.teardown(() => {
    sweep(dir, { keep: false });
    return ended;
  });
  return { dir, socket: `${dir}/hypervisor.sock`, status };
}

/** An adaptor with everything below `dir`; resolves when it serves. */
export async function launchAdaptor(dir: string): Promise<{ child: ChildProcess; status: string }> {
  const program = fileURLToPath(import.meta.resolve('@peerpod-tls/adaptor/bin'));
  const flags = [
    `-socket=${dir}/hypervisor.sock`,
    `-pods-dir=${dir}/pods`,
    `-data-dir=${dir}/vm`,
    '-status-address=127.0.0.1:0',
  ];
  const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, program, 'local', ...flags], {
    env: {
      PATH: process.env['PATH'],
      PEERPOD_LENT_READS: process.env['PEERPOD_LENT_READS'],
      [MARK]: dir,
      [READY_FD]: '3',
    },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  if (child.stderr !== null) void readLog(child.stderr, line => lines.push(line));
  const pipe = child.stdio[3];
  if (!(pipe instanceof Readable)) throw new Error('no pipe for readiness');
  const told = await awaitReady(pipe, AbortSignal.timeout(30_000)).catch((cause: unknown) => {
    throw new Error(`the adaptor did not start:\n${lines.join('\n')}`, { cause });
  });
  return { child, status: String(told['status']) };
}
