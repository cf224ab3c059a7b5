// SPDX-License-Identifier: Apache-2.0
// An adaptor with everything under one temporary directory, and the shim's side of it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLogger } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { dialHypervisor, type ShimHypervisor } from '../../../../test/kit/shim.js';
import { Adaptor, type AdaptorParts } from '../../src/adaptor.js';
import { parseOptions, type AdaptorOptions } from '../../src/options.js';
import type { Provider, ProviderModule } from '../../../providers/src/provider.js';
import { TestProvider } from './provider.js';

// Most tests that have an adaptor of this file want the shim's side with it.
export { annotations, dialAgent, status } from '../../../../test/kit/shim.js';

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A logger whose lines a test reads, as text and as objects. */
export function captureLog(): {
  log: Logger;
  text: () => string;
  lines: () => LogLine[];
  next: (msg: string) => Promise<LogLine>;
} {
  let all = '';
  const waiting = new Set<() => void>();
  const log = createLogger({
    name: 'test',
    level: 'debug',
    destination: {
      write: (line: string) => {
        all += line;
        for (const wake of waiting) wake();
      },
    },
  });
  const lines = (): LogLine[] =>
    all
      .split('\n')
      .filter(line => line !== '')
      .map((line): LogLine => JSON.parse(line));
  const next = (msg: string): Promise<LogLine> =>
    new Promise((resolve, reject) => {
      // Also what keeps the process alive meanwhile: the timers of the adaptor's own watches do not.
      const late = setTimeout(() => reject(new Error(`no line ${JSON.stringify(msg)} in:\n${all}`)), 20_000);
      const look = (): void => {
        const found = lines().find(line => line.msg === msg);
        if (found === undefined) return;
        clearTimeout(late);
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { log, text: () => all, lines, next };
}

export interface Rig extends ShimHypervisor {
  readonly directory: string;
  readonly adaptor: Adaptor;
  readonly options: AdaptorOptions;
  readonly provider: TestProvider;
  readonly log: ReturnType<typeof captureLog>;
  /** Closes the adaptor, keeps the directory and the VMs. */
  close(): Promise<void>;
}

export interface RigOptions {
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly provider?: TestProvider;
  readonly directory?: string;
  readonly timing?: AdaptorParts['timing'];
}

const moduleOf = (provider: Provider): ProviderModule => ({
  name: provider.name,
  describe: 'test',
  flags: {},
  create: async () => provider,
});

/** Port of the forwarders in tests; their addresses are what differs. */
export const PORT = 15_150;

/** A short directory under the temporary one: socket paths have to fit 107 bytes. */
export function temporary(t: { teardown(after: () => void): unknown }): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'ppa-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function optionsIn(
  directory: string,
  provider: Provider,
  flags: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): AdaptorOptions {
  const argv = [
    `-socket=${path.join(directory, 'h.sock')}`,
    `-pods-dir=${path.join(directory, 'pods')}`,
    '-status-address=127.0.0.1:0',
    '-proxy-timeout=5s',
    '-drain-timeout=2s',
    ...flags,
  ];
  const parsed = parseOptions(moduleOf(provider), argv, env);
  if (parsed.t === 'help') throw new Error('no options but help');
  return parsed.options;
}

/** Starts an adaptor and connects to it as a shim. The teardown ends everything. */
export async function startRig(
  t: { teardown(after: () => unknown): unknown },
  o: RigOptions = {},
): Promise<Rig> {
  const directory = o.directory ?? temporary(t);
  const provider = o.provider ?? new TestProvider(PORT);
  const options = optionsIn(directory, provider, o.flags, o.env);
  const log = captureLog();
  const adaptor = new Adaptor({
    options,
    provider,
    log: log.log,
    timing: { deletionRetryMs: 20, redialBudgetMs: 3000, ...o.timing },
  });
  let closed: Promise<void> | null = null;
  const shim: { current: ShimHypervisor | null } = { current: null };
  const close = (): Promise<void> => {
    shim.current?.client.close();
    closed ??= adaptor.close();
    return closed;
  };
  t.teardown(async () => {
    await close();
    await provider.destroy();
  });
  await adaptor.start(new AbortController().signal);
  shim.current = await dialHypervisor(options.socket);
  return {
    directory,
    adaptor,
    options,
    provider,
    log,
    ...shim.current,
    close,
  };
}

/** Waits for something that no line of the log and no promise tells of. */
export async function eventually(what: () => boolean, ms = 5000): Promise<boolean> {
  const end = Date.now() + ms;
  while (!what()) {
    if (Date.now() > end) return false;
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  return true;
}
