// SPDX-License-Identifier: Apache-2.0
// An adaptor with everything under one temporary directory, and the shim's side of it.
import path from 'node:path';
import { captureLog, temporary } from '../../../../test/kit/log.js';
import { proxyIn } from '../../../../test/kit/proxy-in-process.js';
import { dialHypervisor, type ShimHypervisor } from '../../../../test/kit/shim.js';
import { Adaptor, type AdaptorParts } from '../../src/adaptor.js';
import { parseOptions, type AdaptorOptions } from '../../src/options.js';
import type { Provider, ProviderModule } from '../../../providers/src/provider.js';
import { TestProvider } from './provider.js';

// Most tests that have an adaptor of this file want the shim's side with it.
export { captureLog, eventually, temporary, type LogLine } from '../../../../test/kit/log.js';
export { annotations, dialAgent, status } from '../../../../test/kit/shim.js';

export interface Rig extends ShimHypervisor {
  readonly directory: string;
  readonly adaptor: Adaptor;
  readonly options: AdaptorOptions;
  readonly provider: TestProvider;
  readonly log: ReturnType<typeof captureLog>;
  /** Options of another adaptor in its place, at the same proxy. */
  again(flags: readonly string[]): AdaptorOptions;
  /** Closes the adaptor, keeps the directory and the VMs. */
  close(): Promise<void>;
}

export interface RigOptions {
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly provider?: TestProvider;
  readonly directory?: string;
  readonly timing?: AdaptorParts['timing'];
  readonly shims?: AdaptorParts['shims'];
}

const moduleOf = (provider: Provider): ProviderModule => ({
  name: provider.name,
  describe: 'test',
  flags: {},
  create: async () => provider,
});

/** Port of the forwarders in tests; their addresses are what differs. */
export const PORT = 15_150;

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
  const log = captureLog();
  const socket = path.join(directory, 'h.sock');
  const [, threads = '1'] = /-data-path-threads=(\d+)/.exec((o.flags ?? []).join(' ')) ?? [];
  const control = await proxyIn(t, directory, { socket, write: log.write, threads: Number(threads) });
  const options = optionsIn(directory, provider, [`-proxy-socket=${control}`, ...(o.flags ?? [])], o.env);
  const adaptor = new Adaptor({
    options,
    provider,
    log: log.log,
    timing: { deletionRetryMs: 20, redialBudgetMs: 3000, ...o.timing },
    ...(o.shims === undefined ? {} : { shims: o.shims }),
  });
  let closed: Promise<void> | null = null;
  const shim: { current: ShimHypervisor | null } = { current: null };
  const close = (): Promise<void> => {
    closed ??= adaptor.close();
    return closed;
  };
  t.teardown(async () => {
    shim.current?.client.close();
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
    again: flags => optionsIn(directory, provider, [`-proxy-socket=${control}`, ...flags]),
    ...shim.current,
    close,
  };
}
