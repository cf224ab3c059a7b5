// SPDX-License-Identifier: Apache-2.0
// The adaptor inside the test's process, with a provider of the test's own; its sockets, TLS and state are real.
import { join } from 'node:path';
import { Adaptor, parseOptions, type AdaptorParts } from '@peerpod-tls/adaptor';
import type { Provider } from '@peerpod-tls/providers';
import { createLogger } from '@peerpod-tls/daemon';
import { socketIn } from './adaptor-program.js';
import type { LogLine, Teardown } from './program.js';
import { proxyIn } from './proxy-in-process.js';
import { dialHypervisor, type ShimHypervisor } from './shim.js';

export interface InProcess extends ShimHypervisor {
  readonly adaptor: Adaptor;
  lines(): LogLine[];
  /** The first line with this message, now or later. */
  said(msg: string): Promise<LogLine>;
  metrics(): Promise<string>;
}

export interface InProcessOptions {
  readonly directory: string;
  readonly provider: Provider;
  readonly port: number;
  readonly flags?: readonly string[];
  readonly timing?: AdaptorParts['timing'];
}

export async function startInProcess(t: Teardown, o: InProcessOptions): Promise<InProcess> {
  const { provider, directory } = o;
  let text = '';
  const looks = new Set<() => void>();
  const write = (line: string): void => {
    text += line;
    for (const look of looks) look();
  };
  const control = await proxyIn(t, directory, { socket: socketIn(directory), write });
  const parsed = parseOptions(
    { name: provider.name, describe: 'of a test', flags: {}, create: async () => provider },
    [
      `-socket=${socketIn(directory)}`,
      `-pods-dir=${join(directory, 'pods')}`,
      '-status-address=127.0.0.1:0',
      `-forwarder-port=${o.port}`,
      '-proxy-timeout=10s',
      '-drain-timeout=2s',
      `-proxy-socket=${control}`,
      ...(o.flags ?? []),
    ],
    {},
  );
  if (parsed.t === 'help') throw new Error('no options but help');
  const log = createLogger({ name: 'test', level: 'debug', destination: { write } });
  const lines = (): LogLine[] =>
    text
      .split('\n')
      .filter(line => line !== '')
      .map((line): LogLine => JSON.parse(line));
  const adaptor = new Adaptor({
    options: parsed.options,
    provider,
    log,
    ...(o.timing === undefined ? {} : { timing: o.timing }),
  });
  t.teardown(async () => adaptor.close());
  await adaptor.start(new AbortController().signal);
  const shim = await dialHypervisor(socketIn(directory));
  t.teardown(() => shim.client.close());
  return {
    ...shim,
    adaptor,
    lines,
    said: msg =>
      new Promise(resolve => {
        const look = (): void => {
          const found = lines().find(line => line.msg === msg);
          if (found === undefined) return;
          looks.delete(look);
          resolve(found);
        };
        looks.add(look);
        look();
      }),
    metrics: async () => (await fetch(`http://${adaptor.statusAddress}/metrics`)).text(),
  };
}
