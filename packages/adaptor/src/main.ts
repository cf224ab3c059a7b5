// SPDX-License-Identifier: Apache-2.0
// cloud-api-adaptor as a program: which provider, which options, then run until a signal. Grammar, streams and exit
// codes are upstream's.
import {
  createLogger,
  isHelpRequest,
  isVersionRequest,
  reportError,
  runServices,
  versionBlock,
  type Flag,
} from '@peerpod-tls/daemon';
import type { Writable } from 'node:stream';
import { parseOptions, type ParsedOptions } from './options.js';
import { providers } from '@peerpod-tls/providers';
import type { ProviderModule } from '@peerpod-tls/providers';

const PROGRAM = 'cloud-api-adaptor';

export interface MainIo {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** Runs the program; resolves with its exit code. */
export async function main(io: MainIo): Promise<number> {
  const [word, ...rest] = io.argv;
  if (word === undefined) {
    io.stderr.write(help());
    return 1;
  }
  if (isHelpRequest(io.argv)) {
    io.stdout.write(help());
    return 0;
  }
  if (isVersionRequest(io.argv)) {
    io.stdout.write(versionBlock(PROGRAM));
    return 0;
  }
  if (word === '' || word.startsWith('-')) {
    io.stderr.write(`${PROGRAM}: Unknown option: ${JSON.stringify(word)}\n\n${help()}`);
    return 1;
  }
  const module = providers.find(({ name }) => name === word);
  if (module === undefined) {
    io.stderr.write(`${PROGRAM}: Unsupported cloud provider: ${printable(word)}\n\n${help()}`);
    return 1;
  }
  try {
    return await runProvider(module, rest, io);
  } catch (error) {
    reportError(io.stderr, PROGRAM, error);
    return 1;
  }
}

function help(): string {
  const names = providers.map(({ name, describe }) => `\t${name.padEnd(10)} ${describe}\n`).join('');
  return [
    `Usage: ${PROGRAM} <provider-name> [options] | help | version\n`,
    '\nSupported cloud providers are:\n',
    names,
    `\n"${PROGRAM} <provider-name> -help" lists the options of a provider.\n`,
  ].join('');
}

/** What a caller typed, without the control characters that could move a terminal's cursor. */
function printable(word: string): string {
  return word.replaceAll(/\p{Cc}/gu, '?').slice(0, 200);
}

async function runProvider<T extends Readonly<Record<string, Flag>>>(
  module: ProviderModule<T>,
  argv: readonly string[],
  io: MainIo,
): Promise<number> {
  const parsed = parseOptions(module, argv, io.env);
  if (parsed.t === 'help') {
    io.stdout.write(parsed.text);
    return 0;
  }
  // A banner that cannot be written, as on a full disk, stops no daemon.
  io.stdout.on('error', () => {});
  io.stdout.write(
    `${versionBlock(PROGRAM)}${PROGRAM}: starting Cloud API Adaptor daemon for "${module.name}"\n`,
  );
  return serve(module, parsed, io);
}

async function serve<T extends Readonly<Record<string, Flag>>>(
  module: ProviderModule<T>,
  { options, provider: values }: ParsedOptions<T>,
  io: MainIo,
): Promise<number> {
  const log = createLogger({ name: PROGRAM, level: options.logLevel, format: options.logFormat });
  for (const warning of options.warnings) {
    io.stdout.write(`${PROGRAM}: WARNING: ${warning}\n`);
    log.warn({ warning }, 'unusual option in force');
  }
  const provider = await module.create(values, {
    log: log.child({ provider: module.name }),
    podsDir: options.podsDir,
    forwarderPort: options.forwarderPort,
  });
  // Here, so that help, versions and refusals come without loading what only a running adaptor needs.
  const { Adaptor } = await import('./adaptor.js');
  const adaptor = new Adaptor({ options, provider, log });
  return runServices({ services: [adaptor], log, drainMs: options.drainMs, env: io.env });
}
