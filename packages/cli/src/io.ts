// SPDX-License-Identifier: Apache-2.0
// What a command gets from the process around it and gives back to it. Loads nothing.
import type { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';
import type { TerminalStream } from './terminal/live-region.js';

/** Exit codes of every command; `run` passes its command's own code on and has one more (see run.ts). */
export const ExitCode = { ok: 0, failed: 1, usage: 2, interrupted: 130, hangup: 141 } as const;

/** The process around a command. Results go to `stdout`, everything said about them to `stderr`. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: TerminalStream & { readonly isTTY?: boolean };
  readonly stderr: TerminalStream & { readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
  /** Emits SIGINT, SIGTERM and SIGHUP: the process itself. */
  readonly signals: EventEmitter;
}
