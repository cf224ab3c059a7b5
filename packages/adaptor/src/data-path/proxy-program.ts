// SPDX-License-Identifier: Apache-2.0
// Where the proxy's program lies, and the command that runs it apart from the adaptor: without what the adaptor may do
// and knows, and, where systemd is there, as a unit of its own. Nothing is started here.
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { READY_FD } from '@peerpod-tls/daemon';
import { PROXY_PROGRAM } from '@peerpod-tls/proxy/control';
import { AdaptorError } from '../errors.js';
import type { ProxySettings } from './generation-name.js';

/** Nothing else of the adaptor's environment reaches a proxy: it may hold cloud credentials. */
const PASSED_ON = ['PATH', 'LANG', 'LC_ALL', 'TZ', 'PEERPOD_DEMO', 'PEERPOD_LENT_READS'];

/** Node's own default costs every idle link 8 to 11 KiB more. */
const NODE_FLAGS = ['--max-semi-space-size=4'];

const SYSTEMD = '/run/systemd/system';

/** Bit of CAP_SETPCAP in the sets of /proc/PID/status, as capability.h numbers it. */
const SETPCAP = 8n;

const isRoot = (): boolean => process.geteuid?.() === 0;

/** Whether proxies are units of systemd, which starts one again by itself when it was killed. */
export const systemdRunsProxies = (): boolean => isRoot() && existsSync(SYSTEMD);

export interface ProxyCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** `unit`: the command ends at once, and systemd has the program. */
  readonly t: 'child' | 'unit';
}

/**
 * The file to run: where Node finds our packages, or in the directory of the adaptor's own file.
 * @throws AdaptorError `ERR_ADAPTOR_PROXY_MISSING`
 */
export function findProxyProgram(
  entry = '@peerpod-tls/proxy/bin',
  beside = dirname(fileURLToPath(import.meta.url)),
): string {
  const places = [
    installed(entry),
    join(beside, `${PROXY_PROGRAM}.cjs`),
    join(beside, `${PROXY_PROGRAM}.js`),
  ];
  const found = places.find(place => place !== null && existsSync(place));
  if (typeof found === 'string') return found;
  throw new AdaptorError(
    'ERR_ADAPTOR_PROXY_MISSING',
    `the program ${PROXY_PROGRAM} is not beside the adaptor's in ${beside}`,
    {
      hint: `put ${PROXY_PROGRAM}.cjs there, or run it yourself and give its control socket with -proxy-socket`,
    },
  );
}

function installed(entry: string): string | null {
  try {
    return fileURLToPath(import.meta.resolve(entry));
  } catch {
    return null;
  }
}

/** The command for a generation's directory. */
export function proxyCommand(
  directory: string,
  generation: string,
  { socket, threads, drainMs, logLevel, logFormat }: ProxySettings,
  log: string,
): ProxyCommand {
  const argv = [
    process.execPath,
    ...NODE_FLAGS,
    findProxyProgram(),
    `-directory=${directory}`,
    `-socket=${socket}`,
    `-generation=${generation}`,
    `-data-path-threads=${threads}`,
    `-drain-timeout=${drainMs}ms`,
    `-log-level=${logLevel}`,
    `-log-format=${logFormat}`,
  ];
  const env = Object.fromEntries(
    PASSED_ON.flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  if (systemdRunsProxies()) return unit(argv, env, generation, log);
  const [program = '', ...args] = [...(isRoot() ? withoutCapabilities() : []), ...argv];
  return { t: 'child', program, args, env: { ...env, [READY_FD]: '3' } };
}

/** Root that has no capability left opens its own files and sockets, and nothing of anybody else. */
function withoutCapabilities(): readonly string[] {
  const setpriv = (process.env['PATH'] ?? '')
    .split(':')
    .map(directory => join(directory, 'setpriv'))
    .find(isUtilLinux);
  if (setpriv === undefined || !mayDropCapabilities()) return [];
  return [setpriv, '--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'];
}

/** Not the one of busybox, which is a link to it and knows no bounding set. */
function isUtilLinux(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return readFileSync(path).includes('bounding-set');
  } catch {
    return false;
  }
}

function mayDropCapabilities(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> SETPCAP) & 1n) === 1n;
}

/** Restarted by systemd when it fails; one that ends by itself, as a retired one does, has ended. */
function unit(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  generation: string,
  log: string,
): ProxyCommand {
  const properties = [
    'Restart=on-failure',
    'RestartSec=100ms',
    'StartLimitIntervalSec=0',
    'WorkingDirectory=/',
    'KillMode=mixed',
    'CapabilityBoundingSet=',
    'NoNewPrivileges=yes',
    `StandardOutput=append:${log}`,
    `StandardError=append:${log}`,
  ];
  return {
    t: 'unit',
    program: 'systemd-run',
    args: [
      '--collect',
      '--quiet',
      `--unit=${unitName(generation)}`,
      `--description=data path of peer pods, generation ${generation}`,
      ...properties.map(property => `--property=${property}`),
      ...Object.entries(env).map(([name, value]) => `--setenv=${name}=${value ?? ''}`),
      ...argv,
    ],
    env,
  };
}

/** A name for each directory would be right where a machine runs several adaptors; the digest in it has their sockets. */
const unitName = (generation: string): string => `peerpod-proxy-${generation}.service`;
