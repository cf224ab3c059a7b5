// SPDX-License-Identifier: Apache-2.0
// cloud-api-adaptor with the local provider as a real program, everything of it under one directory.
import { join } from 'node:path';
import { Program, type LogLine, type ProgramOptions, type Teardown } from './program.js';
import { dialHypervisor, type ShimHypervisor } from './shim.js';

export const socketIn = (directory: string): string => join(directory, 'h.sock');

export function localFlags(directory: string): string[] {
  return [
    'local',
    `-socket=${socketIn(directory)}`,
    `-pods-dir=${join(directory, 'pods')}`,
    `-data-dir=${join(directory, 'vms')}`,
    '-status-address=127.0.0.1:0',
    '-drain-timeout=5s',
  ];
}

export interface RunningAdaptor extends ShimHypervisor {
  readonly program: Program;
  /** The line 'adaptor started'. */
  readonly started: LogLine;
  /** GET of the status server. */
  get(path: string): Promise<string>;
}

/** Starts the program and waits until it serves; the shim is connected. */
export async function startAdaptor(
  t: Teardown,
  directory: string,
  flags: readonly string[] = [],
  o: ProgramOptions = {},
): Promise<RunningAdaptor> {
  const program = new Program(t, 'cloud-api-adaptor', [...localFlags(directory), ...flags], o);
  const started = await program.said('adaptor started');
  const shim = await dialHypervisor(socketIn(directory));
  const get = async (path: string): Promise<string> =>
    (await fetch(`http://${String(started['status'])}${path}`)).text();
  return { ...shim, program, started, get };
}
