// SPDX-License-Identifier: Apache-2.0
// The command line of agent-protocol-proxy. The only reader of flags and environment.
import { availableParallelism } from 'node:os';
import { basename, resolve } from 'node:path';
import {
  logFormatFlag,
  logLevelFlag,
  parseFlags,
  UsageError,
  type Flag,
  type HelpRequest,
} from '@peerpod-tls/daemon';
import { PROXY_PROGRAM } from './control/index.js';

const flags = {
  directory: {
    type: 'string',
    env: 'PROXY_DIR',
    placeholder: 'DIR',
    describe: 'where its control socket is, and what it was told, so that it comes up with it again',
  },
  socket: {
    type: 'string',
    env: 'REMOTE_HYPERVISOR_ENDPOINT',
    default: '/run/peerpod/hypervisor.sock',
    placeholder: 'PATH',
    describe: 'Unix socket on which shims ask for pod VMs; taken from whoever listens there',
  },
  generation: {
    type: 'string',
    placeholder: 'NAME',
    describe: 'what adaptors call this proxy (left out: the name of its directory)',
  },
  'data-path-threads': {
    type: 'integer',
    env: 'DATA_PATH_THREADS',
    min: 1,
    max: 64,
    placeholder: 'NUMBER',
    describe:
      'threads that carry the calls of pods, each sandbox on one of them; 1 starts none (left out: half of the cores, at least 1 and at most 4)',
  },
  'drain-timeout': {
    type: 'duration',
    default: '30s',
    describe:
      'how long pods whose connections end with the proxy may take to stop their VMs; a second signal ends at once',
  },
  'log-level': logLevelFlag,
  'log-format': logFormatFlag,
} as const satisfies Readonly<Record<string, Flag>>;

export interface ProxyOptions {
  readonly directory: string;
  readonly socket: string;
  readonly generation: string;
  readonly threads: number;
  readonly drainMs: number;
  readonly logLevel: string;
  readonly logFormat: string;
}

export type Invocation = HelpRequest | { readonly t: 'serve'; readonly options: ProxyOptions };

/** @throws UsageError for anything that cannot be meant */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): Invocation {
  const parsed = parseFlags({
    program: PROXY_PROGRAM,
    usage: `${PROXY_PROGRAM} -directory DIR [options]`,
    flags,
    argv,
    env,
    epilogue:
      'cloud-api-adaptor starts one by itself, or is pointed at one with -proxy-socket DIR/control.sock.',
  });
  if (parsed.t === 'help') return parsed;
  const { values } = parsed;
  if (values.directory === undefined) {
    throw new UsageError(
      '-directory is missing: a proxy needs a place for its sockets and for what it is told',
      'give one with -directory DIR or PROXY_DIR, of its own for each proxy',
    );
  }
  const directory = resolve(values.directory);
  return {
    t: 'serve',
    options: Object.freeze({
      directory,
      socket: resolve(values.socket),
      generation: values.generation ?? basename(directory),
      threads: values['data-path-threads'] ?? threadsFor(availableParallelism()),
      drainMs: values['drain-timeout'],
      logLevel: values['log-level'],
      logFormat: values['log-format'],
    }),
  };
}

/**
 * On two cores a second thread takes from the first; beyond, half of them are left to whatever else the node does. More
 * than four have to be asked for: each takes 25 MiB.
 */
export function threadsFor(cores: number): number {
  return Math.max(1, Math.min(4, Math.floor(cores / 2)));
}
