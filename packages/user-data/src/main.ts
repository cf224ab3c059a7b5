// SPDX-License-Identifier: Apache-2.0
// The commands of process-user-data, as upstream has them: provision-files and version. No command is help.
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import {
  createLogger,
  logLevelFlag,
  parseFlags,
  reportError,
  UsageError,
  versionBlock,
  type Flag,
} from '@peerpod-tls/daemon';
import { SEED_FILE } from './guest-paths.js';
import { provisionFiles } from './provision.js';
import { fileSource } from './source.js';

const PROGRAM = 'process-user-data';

/** An upload into the seed directory shows the file before its content; this long without a change means complete. */
const SEED_SETTLED_MS = 300;

const HELP = `Usage: ${PROGRAM} provision-files [flags] | version | help

Gets the user-data of a pod VM and writes the files in it, once per boot.

Commands:
  provision-files   wait for the user-data, check it, write its files
  version           print the version

"${PROGRAM} provision-files -help" lists the flags.
`;

const flags = {
  'user-data-fetch-timeout': {
    type: 'integer',
    default: 180,
    min: 1,
    max: 86_400,
    alias: 't',
    placeholder: 'SECONDS',
    describe: 'how long to wait for the user-data, in seconds',
  },
  source: {
    type: 'string',
    placeholder: 'PATH',
    describe: `file with the user-data, or a directory with a file user-data in it; left out: ${SEED_FILE} below -root`,
  },
  root: {
    type: 'string',
    default: '/',
    placeholder: 'DIR',
    describe: 'directory that stands for / when files are written',
  },
  'log-level': logLevelFlag,
} as const satisfies Record<string, Flag>;

interface Streams {
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** Runs one command and gives the exit code: 0, or 1 with the reason on stderr. */
export async function main(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  streams: Streams,
): Promise<number> {
  try {
    return await run(argv, env, streams);
  } catch (error) {
    reportError(streams.stderr, PROGRAM, error);
    return 1;
  }
}

async function run(argv: readonly string[], env: NodeJS.ProcessEnv, streams: Streams): Promise<number> {
  const [command = 'help', ...rest] = argv;
  switch (command) {
    case 'provision-files':
      return provision(rest, env, streams);
    case 'version':
    case '-v':
    case '-version':
    case '--version':
      noMore(command, rest);
      streams.stdout.write(versionBlock(PROGRAM));
      return 0;
    case 'help':
    case '-h':
    case '-help':
    case '--help':
      streams.stdout.write(HELP);
      return 0;
    default:
      throw new UsageError(
        `${JSON.stringify(command)} is not a command of ${PROGRAM}`,
        'the commands are provision-files, version and help',
      );
  }
}

function noMore(command: string, rest: readonly string[]): void {
  if (rest.length > 0)
    throw new UsageError(`the word ${JSON.stringify(rest[0])} after ${command} is one too many`);
}

async function provision(argv: readonly string[], env: NodeJS.ProcessEnv, streams: Streams): Promise<number> {
  const parsed = parseFlags({
    program: `${PROGRAM} provision-files`,
    usage: `${PROGRAM} provision-files [flags]`,
    flags,
    argv,
    env,
  });
  if (parsed.t === 'help') {
    streams.stdout.write(parsed.text);
    return 0;
  }
  const { values } = parsed;
  const log = createLogger({ name: PROGRAM, level: values['log-level'] });
  const source =
    values.source === undefined
      ? fileSource(join(values.root, SEED_FILE), { settledMs: SEED_SETTLED_MS })
      : fileSource(values.source);
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void =>
    stop.abort(new UsageError(`stopped by ${signal} while waiting for the user-data`, 'no file was written'));
  process.once('SIGTERM', onSignal).once('SIGINT', onSignal);
  try {
    await provisionFiles({
      source,
      root: values.root,
      log,
      signal: stop.signal,
      timeoutMs: values['user-data-fetch-timeout'] * 1000,
    });
    return 0;
  } finally {
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
  }
}
