// SPDX-License-Identifier: Apache-2.0
// How a program tells the one that started it that it is ready: one line of JSON on a pipe that it inherited, then the
// end of that pipe. Both ends are here. What a program logs is for people, and no other program reads it.
import { closeSync, fstatSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { abortReason, reasonOf } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { DaemonError } from './errors.js';

/** Environment variable with the number of the pipe, 3 or more. */
export const READY_FD = 'PEERPOD_READY_FD';

/** What is told besides that everything is up, like the address that was chosen. No secrets: a parent may log it. */
export type ReadyDetails = Readonly<Record<string, string | number | boolean | null>>;

/** Longest line a parent takes, in bytes. */
const MAX_LINE_BYTES = 65_536;

export interface ReadyChannel {
  /** Says that the program is ready and ends the channel. Later calls do nothing. */
  ready(details?: ReadyDetails): void;
  /** Ends the channel without a word: the program will not be ready. */
  close(): void;
}

/**
 * The child's end. Without the variable there is nobody to tell, and nothing happens. The variable is taken out of
 * `env`, so that programs this one starts do not take a file of their own for the pipe. A pipe that is none, or that
 * nobody reads any more, is a warning: a program that works must not end because nobody heard it.
 */
export function openReadyChannel(env: NodeJS.ProcessEnv, log: Logger): ReadyChannel {
  const text = env[READY_FD] ?? '';
  delete env[READY_FD];
  let fd = text === '' ? null : pipeOf(text, log);
  const close = (): void => {
    if (fd !== null) closeSync(fd);
    fd = null;
  };
  return {
    ready(details = {}) {
      if (fd === null) return;
      try {
        writeSync(fd, `${JSON.stringify({ ready: true, pid: process.pid, ...details })}\n`);
      } catch (err) {
        log.warn({ err }, 'readiness not told');
      }
      close();
    },
    close,
  };
}

function pipeOf(text: string, log: Logger): number | null {
  const fd = /^\d{1,6}$/.test(text) ? Number(text) : -1;
  try {
    if (fd < 3) throw new Error('it is no number from 3 up');
    const stat = fstatSync(fd);
    // Of a file or of one of Node's own descriptors nobody would read.
    if (!stat.isFIFO() && !stat.isSocket()) throw new Error('it is no pipe');
    return fd;
  } catch (error) {
    log.warn(
      { variable: READY_FD, value: text.slice(0, 16), reason: reasonOf(error) },
      'no pipe to tell readiness on',
    );
    return null;
  }
}

/**
 * The parent's end: what the child told, once it is ready. Start the child with a pipe in its `stdio` and the pipe's
 * number in {@link READY_FD}:
 *
 *     const child = spawn(program, args, { env: { ...env, PEERPOD_READY_FD: '3' }, stdio: ['ignore', 1, 2, 'pipe'] });
 *     await awaitReady(child.stdio[3], signal);
 *
 * @throws DaemonError `ERR_READY_ENDED` when the child ended, or closed the pipe, before it was ready; the signal's
 * reason when that comes first. The pipe is destroyed in any case.
 */
export function awaitReady(pipe: Readable, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (act: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      pipe.off('data', onData).off('close', onEnd).off('end', onEnd);
      pipe.destroy();
      act();
    };
    const onAbort = (): void => settle(() => reject(abortReason(signal)));
    const onEnd = (): void => settle(() => reject(ended()));
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (!chunk.includes(0x0a) && bytes <= MAX_LINE_BYTES) return;
      const told = readLine(Buffer.concat(chunks));
      settle(() => (told === null ? reject(ended()) : resolve(told)));
    };
    // Whatever breaks the pipe ends it, which is what is heard.
    pipe.on('error', () => {});
    pipe.on('data', onData).once('end', onEnd).once('close', onEnd);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else if (pipe.destroyed || pipe.readableEnded) onEnd();
  });
}

const ended = (): DaemonError =>
  new DaemonError('ERR_READY_ENDED', 'the program ended before it was ready', {
    hint: 'what it wrote to its standard error says why',
  });

function readLine(bytes: Buffer): Readonly<Record<string, unknown>> | null {
  try {
    const told: unknown = JSON.parse(bytes.subarray(0, bytes.indexOf(0x0a)).toString());
    return isReady(told) ? told : null;
  } catch {
    return null;
  }
}

function isReady(told: unknown): told is Readonly<Record<string, unknown>> {
  return typeof told === 'object' && told !== null && 'ready' in told && told.ready === true;
}
