// SPDX-License-Identifier: Apache-2.0
// Starts a proxy's program so that it outlives the adaptor, and says when it serves. Whether one is needed, and what it
// is told then, is decided elsewhere.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { abortable, deadline, makeSecretDirectory, reasonOf, sleep } from '@peerpod-tls/base';
import { awaitReady } from '@peerpod-tls/daemon';
import { PROXY_PROGRAM, proxyFiles } from '@peerpod-tls/proxy/control';
import type { Logger } from 'pino';
import { AdaptorError } from '../errors.js';
import type { ProxySettings } from './generation-name.js';
import { proxyCommand, type ProxyCommand } from './proxy-program.js';

/** How long a proxy may take to serve. It opens the sockets of every sandbox it has. */
const READY_MS = 30_000;
/** Between two looks at a socket that systemd's program is to open. */
const LOOK_MS = 20;
/** How long a program that failed may take to say why, in milliseconds. */
const LAST_MESSAGE_MS = 1000;
/** What is quoted of a log, in bytes. */
const QUOTED_BYTES = 4096;

export interface ProxyProcessOptions {
  /** Of its generation. */
  readonly directory: string;
  readonly generation: string;
  readonly settings: ProxySettings;
  readonly log: Logger;
}

/**
 * Starts the program and waits until it serves its control socket.
 * @throws AdaptorError `ERR_ADAPTOR_PROXY_MISSING`, `ERR_ADAPTOR_PROXY_START` with the last words of its log; the
 * signal's reason
 */
export async function startProxy(o: ProxyProcessOptions, signal: AbortSignal): Promise<void> {
  const { directory, generation, settings, log } = o;
  const files = proxyFiles(directory);
  await makeSecretDirectory(directory);
  const command = proxyCommand(directory, generation, settings, files.log);
  const began = performance.now();
  const output = openSync(files.log, 'a', 0o600);
  const from = statSync(files.log).size;
  let child: ChildProcess;
  try {
    child = spawn(command.program, command.args, {
      cwd: '/',
      // A session and a process group of its own: no signal to the adaptor's reaches it.
      detached: command.t === 'child',
      env: command.env,
      stdio: ['ignore', output, output, 'pipe'],
    });
  } finally {
    closeSync(output);
  }
  try {
    using within = deadline(READY_MS, signal);
    await serving(command, child, files.controlSocket, within);
  } catch (error) {
    if (signal.aborted) throw error;
    if (command.t === 'child') await ended(child);
    const [fact = '', ...wayOut] = await lastMessage(files.log, from);
    throw new AdaptorError(
      'ERR_ADAPTOR_PROXY_START',
      `${PROXY_PROGRAM} does not serve: ${fact === '' ? reasonOf(error) : fact}`,
      { hint: [...wayOut, `its log is ${files.log}`].join('; ') },
    );
  } finally {
    child.unref();
  }
  log.info(
    {
      generation,
      directory,
      ...(command.t === 'child' ? { proxy: child.pid } : {}),
      ms: Math.round(performance.now() - began),
    },
    'proxy started',
  );
}

/** Why it does not serve is the last a program says: it is given a moment for it, and none to serve late. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exit = once(child, 'exit');
  using within = deadline(LAST_MESSAGE_MS);
  await abortable(exit, within).catch(() => child.kill('SIGKILL'));
}

async function serving(
  { t }: ProxyCommand,
  child: ChildProcess,
  socket: string,
  within: AbortSignal,
): Promise<void> {
  // No program of that name, or none that this user may run.
  const failed = once(child, 'error').then(([error]) => Promise.reject(error));
  failed.catch(() => {});
  if (t === 'child') {
    const [, , , ready] = child.stdio;
    if (!(ready instanceof Readable)) throw new Error('internal error: no pipe for readiness');
    await Promise.race([awaitReady(ready, within), failed]);
    return;
  }
  // Of a unit that is there already, because systemd starts it again by itself, nothing more is wanted.
  await abortable(Promise.race([once(child, 'exit'), failed]), within);
  while (!(await answersOn(socket))) await sleep(LOOK_MS, within);
}

/** Whether a process accepts connections on a Unix socket. */
export function answersOn(socket: string): Promise<boolean> {
  return new Promise(resolve => {
    const client = connect(socket);
    const finish = (answer: boolean): void => {
      client.destroy();
      resolve(answer);
    };
    client.once('connect', () => finish(true));
    client.once('error', () => finish(false));
  });
}

/** What a program that failed said last, line by line, without its name in front; none when it said nothing. */
async function lastMessage(path: string, from: number): Promise<readonly string[]> {
  const file = await open(path, 'r').catch(() => null);
  if (file === null) return [];
  try {
    const { size } = await file.stat();
    const begin = Math.max(from, size - QUOTED_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(QUOTED_BYTES), 0, QUOTED_BYTES, begin);
    const lines = buffer.toString('utf8', 0, bytesRead).trimEnd().split('\n');
    const at = lines.findLastIndex(line => line.startsWith(`${PROXY_PROGRAM}: `));
    if (at === -1) return [];
    const [fact = '', ...more] = lines.slice(at);
    return [fact.slice(PROXY_PROGRAM.length + 2), ...more.map(line => line.trim())];
  } finally {
    await file.close();
  }
}
