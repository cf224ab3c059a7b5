// SPDX-License-Identifier: Apache-2.0
// The commands of process-user-data, as upstream has them: provision-files and version. No command is help.
import type { Writable } from 'node:stream';
import {
  createLogger,
  logFormatFlag,
  logLevelFlag,
  parseFlags,
  reportError,
  UsageError,
  versionBlock,
  type Flag,
} from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { SOURCE_NAMES } from './detect.js';
import { SEED_FILE } from '../guest-paths.js';
import { provisionFiles } from './provision.js';
import { detect, sourceNamed } from './sources/by-name.js';
import { fileSource } from './sources/file.js';
import type { UserDataSource } from './sources/source.js';

const PROGRAM = 'process-user-data';

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
    default: 'auto',
    placeholder: 'NAME|PATH',
    describe:
      `where the user-data is: auto (${SEED_FILE}, or the cloud the machine says it is in), ` +
      `${SOURCE_NAMES.join(', ')}, none (cloud-init has written it: only initdata is handled), ` +
      'or a path to a file or to a directory with a file user-data in it',
  },
  'metadata-endpoint': {
    type: 'string',
    hidden: true,
    placeholder: 'URL',
    describe: 'asked instead of the address of the cloud\u2019s metadata service, for tests',
  },
  root: {
    type: 'string',
    default: '/',
    placeholder: 'DIR',
    describe: 'directory that stands for / when files are written',
  },
  'log-level': logLevelFlag,
  'log-format': logFormatFlag,
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
    case '-V':
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
  const log = createLogger({ name: PROGRAM, level: values['log-level'], format: values['log-format'] });
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void =>
    stop.abort(new UsageError(`stopped by ${signal} while waiting for the user-data`, 'no file was written'));
  process.once('SIGTERM', onSignal).once('SIGINT', onSignal);
  try {
    await provisionFiles({
      source: await chooseSource(values.source, values.root, readEndpoint(values['metadata-endpoint']), log),
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

/** Null for `none`. A word that names no source is a path; `./aws` is a file of that name. */
async function chooseSource(
  source: string,
  root: string,
  endpoint: URL | undefined,
  log: Logger,
): Promise<UserDataSource | null> {
  if (source === 'none') return null;
  if (source === 'auto') {
    const detected = await detect(root);
    log.info(detected, 'source detected');
    return sourceNamed(detected.source, root, { endpoint });
  }
  const name = SOURCE_NAMES.find(known => known === source);
  return name === undefined ? fileSource(source) : sourceNamed(name, root, { endpoint });
}

function readEndpoint(text: string | undefined): URL | undefined {
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'http:' && url.pathname === '/' && url.search === '' && url.username === '')
    return url;
  throw new UsageError(
    `-metadata-endpoint is ${JSON.stringify(text)}, not http://host:port`,
    'leave it out to ask the cloud itself',
  );
}
