// SPDX-License-Identifier: Apache-2.0
// Runs one command in a process group of its own: document in, bounded output out, an end in any case. What the output
// means, and what follows from a failure, is decided elsewhere.
import { spawn } from 'node:child_process';
import { abortable, codeOf, deadline, sleep, startTimer } from '@peerpod-tls/base';
import type { Command } from './command-line.js';
import { isAlive, startTime, type ProcessId } from '../host/vm-processes.js';

/** Kept of what a command says on standard error, in bytes: its end. */
const STDERR_KEPT = 16_384;
/** Between SIGTERM and SIGKILL, in milliseconds. */
const GRACE_MS = 5_000;
/** How long output may still come after the command itself ended, in milliseconds: something it left may hold the pipe. */
const LAST_WORDS_MS = 500;

export interface RunOptions {
  readonly command: Command;
  /** Arguments after those of the flag. */
  readonly more?: readonly string[];
  /** The document for standard input. */
  readonly input: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Largest standard output, in bytes. */
  readonly outputBytes: number;
  /** Called before the command gets its document; a rejection ends the command without it. */
  readonly onStart?: (process: ProcessId | null) => Promise<void>;
}

export type CommandEnd =
  | { readonly t: 'exit'; readonly code: number }
  | { readonly t: 'signal'; readonly signal: string }
  | { readonly t: 'timeout' }
  | { readonly t: 'aborted' }
  | { readonly t: 'too-much' }
  | { readonly t: 'not-started'; readonly reason: string };

export interface Outcome {
  readonly end: CommandEnd;
  readonly stdout: string;
  /** The end of it. */
  readonly stderr: string;
}

/** Resolves with how the command ended; rejects only with what `onStart` rejected with. */
export async function runCommand(o: RunOptions): Promise<Outcome> {
  if (o.signal.aborted) return { end: { t: 'aborted' }, stdout: '', stderr: '' };
  const child = spawn(o.command.program, [...o.command.args, ...(o.more ?? [])], {
    // A group of its own: it can be ended with everything it started, and no signal of our terminal reaches it.
    detached: true,
    env: o.env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { pid } = child;
  let forced: CommandEnd | null = null;
  let cut: Promise<void> | null = null;
  const end = (reason: CommandEnd): void => {
    forced ??= reason;
    if (pid !== undefined) cut ??= endGroup(pid);
  };

  const stdout: Buffer[] = [];
  let size = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > o.outputBytes) end({ t: 'too-much' });
    else stdout.push(chunk);
  });
  let stderr = Buffer.alloc(0);
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = Buffer.concat([stderr, chunk]).subarray(-STDERR_KEPT);
  });
  // A command need not read its document; the pipe then breaks.
  child.stdin.on('error', () => {});

  const ended = new Promise<CommandEnd>(resolve => {
    child.once('error', error => resolve({ t: 'not-started', reason: startProblem(error) }));
    child.once('exit', (code, signal) =>
      resolve(code === null ? { t: 'signal', signal: signal ?? 'a signal' } : { t: 'exit', code }),
    );
  });
  const closed = new Promise<void>(resolve => child.once('close', () => resolve()));

  const cancel = startTimer(o.timeoutMs, () => end({ t: 'timeout' }));
  const aborted = (): void => end({ t: 'aborted' });
  o.signal.addEventListener('abort', aborted, { once: true });
  let refusal: { readonly error: unknown } | null = null;
  try {
    try {
      const start = pid === undefined ? null : startTime(pid);
      if (pid !== undefined) await o.onStart?.(start === null ? null : { pid, start });
      if (forced === null) child.stdin.end(o.input);
    } catch (error) {
      refusal = { error };
      end({ t: 'aborted' });
    }
    const natural = await ended;
    await cut;
    if (natural.t !== 'not-started') {
      using late = deadline(LAST_WORDS_MS);
      await abortable(closed, late).catch(() => {});
    }
    if (refusal !== null) throw refusal.error;
    return {
      end: forced ?? natural,
      stdout: Buffer.concat(stdout).toString(),
      stderr: stderr.toString(),
    };
  } finally {
    cancel();
    o.signal.removeEventListener('abort', aborted);
    child.stdin.destroy();
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** Ends a command that an adaptor which is gone had started; another process with its number is left alone. */
export async function endStrayCommand(process: ProcessId): Promise<void> {
  if (isAlive(process)) await endGroup(process.pid);
}

/** SIGTERM to the group, SIGKILL to what is left of it after the grace; resolves when nobody is, or nothing helps. */
async function endGroup(group: number): Promise<void> {
  send(group, 'SIGTERM');
  const kill = performance.now() + GRACE_MS;
  for (let killed = false; send(group, 0);) {
    const now = performance.now();
    if (!killed && now >= kill) {
      send(group, 'SIGKILL');
      killed = true;
    }
    // A zombie that nobody collects keeps its group in being.
    if (now >= kill + 1_000) return;
    await sleep(20);
  }
}

/** False when the group has nobody in it. */
function send(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch {
    return false;
  }
}

function startProblem(error: Error): string {
  const code = codeOf(error);
  if (code === 'ENOEXEC') return 'it is no program: a script begins with a line like #!/bin/sh';
  if (code === 'ENOENT') return 'it, or the interpreter in its first line, is not there';
  if (code === 'EACCES') return 'it, or the interpreter in its first line, may not be executed';
  return error.message;
}
