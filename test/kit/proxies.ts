// SPDX-License-Identifier: Apache-2.0
// The proxies that an adaptor started below a test's directory: they outlive it, and a test has to end them.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { proxyService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix, type TypedClient } from '@peerpod-tls/ttrpc';
import { processesOf } from './directory.js';
import type { LogLine } from './program.js';

const STATE_DIRS = ['pods/.state', 'state'];

/** Directories of the generations there are. */
export function generationsBelow(directory: string): string[] {
  return STATE_DIRS.map(state => join(directory, state, 'proxy'))
    .filter(existsSync)
    .flatMap(proxies => readdirSync(proxies).map(name => join(proxies, name)));
}

/** Process ids of proxies that belong to a directory. */
export function proxiesOf(directory: string): number[] {
  return processesOf(directory)
    .filter(({ command }) => command.includes('agent-protocol-proxy'))
    .map(({ pid }) => pid);
}

/** What the proxies below a directory log, which no terminal shows. */
export class ProxyLog {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  lines(): LogLine[] {
    return generationsBelow(this.#directory)
      .map(generation => join(generation, 'proxy.log'))
      .filter(existsSync)
      .flatMap(file => readFileSync(file, 'utf8').split('\n'))
      .filter(line => line.startsWith('{') && line.endsWith('}'))
      .map((line): LogLine => JSON.parse(line));
  }

  /** The first line with this message that `also` accepts, now or later. */
  async said(msg: string, also: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    for (;;) {
      const found = this.lines().find(line => line.msg === msg && also(line));
      if (found !== undefined) return found;
      await new Promise(done => setTimeout(done, 20));
    }
  }
}

interface DialledProxy extends AsyncDisposable {
  readonly proxy: TypedClient<typeof proxyService>;
}

/** Speaks to a generation as an operator's terminal does. */
async function dialProxy(generation: string): Promise<DialledProxy> {
  const client = await connectUnix(join(generation, 'control.sock'));
  return {
    proxy: clientOf(proxyService, client),
    [Symbol.asyncDispose]: async () => client.close(),
  };
}

/**
 * Asks every proxy below a directory to end, as `peerpod proxy stop` does, and waits until they have. Gives the ids of
 * sandboxes that stood in the way; with `now` their pods end.
 */
export async function stopProxies(directory: string, now = false): Promise<string[]> {
  const left: string[] = [];
  for (const generation of generationsBelow(directory)) {
    const dialled = await dialProxy(generation).catch(() => null);
    if (dialled === null) continue;
    await using on = dialled;
    const { sandboxes } = await on.proxy.Stop({ now });
    left.push(...sandboxes.map(({ sandbox }) => sandbox ?? ''));
  }
  if (left.length === 0 || now) await untilNoProxy(directory, 5000);
  return left;
}

export async function untilNoProxy(directory: string, ms: number): Promise<void> {
  const end = Date.now() + ms;
  while (proxiesOf(directory).length > 0 && Date.now() < end) await new Promise(done => setTimeout(done, 20));
}
