// SPDX-License-Identifier: Apache-2.0
// The console log of a virtual machine: two files of a bounded size, written by a small process of the machine's own,
// since a guest talks on while no adaptor runs. What the lines mean is not its business.
import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { sleep } from '@peerpod-tls/base';
import { ProviderError } from '../errors.js';
import { lastLines } from '../host/last-lines.js';
import { MARKER, processesOf } from '../host/vm-processes.js';

/** Bytes of the console log; as many from before are kept beside it. */
const CONSOLE_BYTES = 1 << 20;
/** Milliseconds the keeper may take to write what a machine that has ended said last. */
const LAST_WORDS_MS = 1_000;
const GUEST_LINES = 15;
const QEMU_LINES = 3;

export interface ConsoleFiles {
  readonly directory: string;
  /** What the guest says; what it said before is in the file of this name with `.1` behind it. */
  readonly console: string;
  /** What qemu itself says. */
  readonly log: string;
}

/**
 * `head` ends after so many bytes, or with the machine, whose end of the line is closed then. It writes through a
 * buffer unless it is told not to, and the last words before a crash are the ones that matter.
 */
const KEEPER = `
umask 077
while :; do
  stdbuf -o0 head -c "$2" >"$1"
  [ "$(stat -c %s "$1")" -ge "$2" ] || exit 0
  mv -f "$1" "$1.1"
done`;

/**
 * Starts the process that keeps the log, and gives the line to it, for qemu to inherit. It ends when nobody holds the
 * line any more; the caller destroys its own end once qemu has one.
 *
 * @throws ProviderError ERR_PROVIDER_CREATE
 */
export function keepConsole(files: ConsoleFiles, bytes: number = CONSOLE_BYTES): Writable {
  const keeper = spawn('/bin/sh', ['-c', KEEPER, 'console', files.console, String(bytes)], {
    cwd: files.directory,
    detached: true,
    env: { PATH: process.env['PATH'] ?? '', [MARKER]: files.directory },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  keeper.on('error', () => {});
  keeper.stdin.on('error', () => {});
  keeper.unref();
  if (keeper.pid === undefined) {
    throw new ProviderError('ERR_PROVIDER_CREATE', 'no process could be made for the console log');
  }
  return keeper.stdin;
}

/** The last words of a machine, qemu's own first; of one that has ended, once they are all written. */
export async function consoleOf(files: ConsoleFiles, ended: boolean): Promise<string> {
  if (ended) await keeperGone(files);
  const guest = await lastLines(files.console, GUEST_LINES);
  const missing = GUEST_LINES - (guest === '' ? 0 : guest.split('\n').length);
  const before = missing > 0 ? await lastLines(`${files.console}.1`, missing) : '';
  const machine = await lastLines(files.log, QEMU_LINES);
  return [machine, before, guest]
    .filter(text => text !== '')
    .join('\n')
    .replaceAll('\r', '');
}

async function keeperGone({ directory }: ConsoleFiles): Promise<void> {
  const late = performance.now() + LAST_WORDS_MS;
  while (processesOf(directory).length > 0 && performance.now() < late) await sleep(20);
}
