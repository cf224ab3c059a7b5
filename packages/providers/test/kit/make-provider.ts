// SPDX-License-Identifier: Apache-2.0
// A provider as an adaptor makes it from a command line.
import { createLogger, parseFlags, type Flag } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import type { Provider, ProviderModule } from '../../src/provider.js';

export interface MakeOptions {
  readonly podsDir: string;
  /** Default: says nothing. */
  readonly log?: Logger;
  /** Default 15150. */
  readonly port?: number;
}

export async function makeProvider<T extends Readonly<Record<string, Flag>>>(
  module: ProviderModule<T>,
  argv: readonly string[],
  { podsDir, log = createLogger({ name: 'test', level: 'silent' }), port = 15_150 }: MakeOptions,
): Promise<Provider> {
  const parsed = parseFlags({ program: 'test', usage: '', flags: module.flags, argv: [...argv], env: {} });
  if (parsed.t === 'help') throw new Error('no flags but help');
  return module.create(parsed.values, { log, podsDir, forwarderPort: port });
}
