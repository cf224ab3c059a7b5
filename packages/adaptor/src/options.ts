// SPDX-License-Identifier: Apache-2.0
// Flags and environment, read once and checked before the first socket opens. Everything below gets values from here.
import { availableParallelism } from 'node:os';
import path from 'node:path';
import {
  parseFlags,
  parseHostPort,
  UsageError,
  type Flag,
  type FlagValues,
  type HelpRequest,
} from '@peerpod-tls/daemon';
import { commonFlags, WITHOUT_EFFECT } from './flags.js';
import { defaultStateDir, stateWarnings } from './state/state-dir.js';
import { readGlobalInitdata } from './sandboxes/initdata.js';
import type { ProviderModule } from '@peerpod-tls/providers';
import { chooseTlsMode, tlsWarnings, type TlsMode } from '@peerpod-tls/trust';

export interface AdaptorOptions {
  readonly socket: string;
  /** Control socket of a proxy that somebody else runs; null: one is started. */
  readonly proxySocket: string | null;
  readonly podsDir: string;
  readonly stateDir: string;
  /** `host:port` of the status server. */
  readonly statusAddress: string;
  /** How long to wait for another adaptor on the state directory, in milliseconds; 0: not at all. */
  readonly takeoverMs: number;
  readonly tls: TlsMode;
  readonly forwarderPort: number;
  /** Budget of a start's dialling, in milliseconds. */
  readonly proxyTimeoutMs: number;
  /** Base64 of gzipped TOML for pods that bring none of their own; empty: none. */
  readonly initdata: string;
  readonly scratchSpace: boolean;
  /** VMs at one time; null: any number. */
  readonly vmLimit: number | null;
  /** Sandboxes at one time that were created and not started. */
  readonly createdLimit: number;
  /** How long those without a VM are kept, in milliseconds. */
  readonly createdMs: number;
  /** Whether running sandboxes whose shim is gone are stopped. */
  readonly reapDead: boolean;
  /** How long a shim has to be silent until it is gone, in milliseconds. */
  readonly deadGraceMs: number;
  readonly verifyProvider: boolean;
  /** The proxy's threads that carry the calls of pods; 1: the one that does everything else in it. */
  readonly dataPathThreads: number;
  readonly drainMs: number;
  readonly logLevel: string;
  readonly logFormat: string;
  /** For a person to read before anything starts. */
  readonly warnings: readonly string[];
}

export interface ParsedOptions<T extends Readonly<Record<string, Flag>>> {
  readonly t: 'options';
  readonly options: AdaptorOptions;
  readonly provider: FlagValues<T>;
}

/** Reads what follows the provider's name; throws a `UsageError` or the TLS mode's refusal. */
export function parseOptions<T extends Readonly<Record<string, Flag>>>(
  module: ProviderModule<T>,
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): ParsedOptions<T> | HelpRequest {
  checkNoClash(module);
  const program = `cloud-api-adaptor ${module.name}`;
  const usage = `${program} [options]`;
  const flags: Readonly<Record<string, Flag>> = { ...commonFlags, ...underHeading(module) };
  const all = parseFlags({ program, usage, flags, argv, env });
  if (all.t === 'help') return all;
  // One command line, two readers: each half is read again by its own table, which gives every value its exact type.
  const common = parseFlags({
    program,
    usage,
    flags: commonFlags,
    argv: onlyOf(argv, commonFlags, flags),
    env,
  });
  const own = parseFlags({
    program,
    usage,
    flags: module.flags,
    argv: onlyOf(argv, module.flags, flags),
    env,
  });
  if (common.t === 'help' || own.t === 'help') throw new Error('internal error: help appeared from nowhere');
  return { t: 'options', options: checkCommon(common.values, common.origin, env), provider: own.values };
}

function checkNoClash(module: ProviderModule): void {
  for (const name of Object.keys(module.flags)) {
    if (Object.hasOwn(commonFlags, name)) {
      throw new Error(`internal error: provider ${module.name} declares -${name}, which is a common flag`);
    }
  }
}

/** The provider's flags, in a section of the help text that names it. */
function underHeading(module: ProviderModule): Record<string, Flag> {
  const group = `Options of the provider "${module.name}"`;
  return Object.fromEntries(
    Object.entries(module.flags).map(([name, flag]): [string, Flag] => [name, { group, ...flag }]),
  );
}

type FlagTable = Readonly<Record<string, Flag>>;

/** The words of a command line that already passed, cut down to the flags of one table. */
function onlyOf(argv: readonly string[], wanted: FlagTable, all: FlagTable): string[] {
  const kept: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    const body = word.replace(/^--?/, '');
    const equals = body.indexOf('=');
    const typed = equals === -1 ? body : body.slice(0, equals);
    const name = Object.hasOwn(all, typed)
      ? typed
      : (Object.keys(all).find(key => all[key]?.alias === typed) ?? '');
    const flag = all[name];
    if (flag === undefined) break;
    const takesNext = equals === -1 && flag.type !== 'boolean';
    if (Object.hasOwn(wanted, name)) kept.push(word, ...(takesNext ? [argv[at + 1] ?? ''] : []));
    if (takesNext) at += 1;
  }
  return kept;
}

type CommonValues = FlagValues<typeof commonFlags>;
type Origins = { readonly [K in keyof typeof commonFlags]: 'default' | 'environment' | 'command-line' };

function checkCommon(values: CommonValues, origin: Origins, env: NodeJS.ProcessEnv): AdaptorOptions {
  const tlsOptions = {
    caCertFile: values['ca-cert-file'] ?? '',
    certFile: values['cert-file'] ?? '',
    certKey: values['cert-key'] ?? '',
    disableTls: values['disable-tls'],
    tlsSkipVerify: values['tls-skip-verify'],
    tlsMinVersion: values['tls-min-version'],
    tlsCipherSuites: values['tls-cipher-suites'],
    keyAlgorithm: values['key-algorithm'],
  };
  const tls = chooseTlsMode(tlsOptions);
  const podsDir = path.resolve(values['pods-dir']);
  const stateDir = path.resolve(
    values['state-dir'] ??
      (origin['pods-dir'] === 'default' ? defaultStateDir(podsDir) : path.join(podsDir, '.state')),
  );
  const limit = values['peerpods-limit-per-node'];
  const idle = WITHOUT_EFFECT.filter(name => origin[name] !== 'default');
  return Object.freeze({
    socket: path.resolve(values.socket),
    proxySocket: values['proxy-socket'] === undefined ? null : path.resolve(values['proxy-socket']),
    podsDir,
    stateDir,
    takeoverMs: values['takeover-timeout'],
    statusAddress: checkStatusAddress(values['status-address'], env['PROBE_PORT'] ?? ''),
    tls,
    forwarderPort: values['forwarder-port'],
    proxyTimeoutMs: values['proxy-timeout'],
    initdata: readGlobalInitdata(values.initdata),
    scratchSpace: values['enable-scratch-space'],
    vmLimit: limit < 0 ? null : limit,
    createdLimit: values['created-limit'],
    createdMs: values['created-timeout'],
    reapDead: values['reap-dead-sandboxes'],
    deadGraceMs: values['dead-sandbox-grace'],
    verifyProvider: values['cloud-config-verify'],
    dataPathThreads: values['data-path-threads'] ?? threadsFor(availableParallelism()),
    drainMs: values['drain-timeout'],
    logLevel: values['log-level'],
    logFormat: values['log-format'],
    warnings: [
      ...tlsWarnings(tls, tlsOptions),
      ...stateWarnings(stateDir),
      ...(idle.length === 0
        ? []
        : [
            `${idle.map(name => `-${name}`).join(', ')}: accepted, without effect in this version (there is no pod network tunnel yet).`,
          ]),
    ],
  });
}

/**
 * On two cores a second thread takes from the first; beyond, half of them are left to whatever else the node does. More
 * than four have to be asked for: each takes 25 MiB.
 */
export function threadsFor(cores: number): number {
  return Math.max(1, Math.min(4, Math.floor(cores / 2)));
}

const DEFAULT_STATUS_PORT = 8000;

function checkStatusAddress(address: string | undefined, probePort: string): string {
  if (address === undefined && probePort === '') return `127.0.0.1:${DEFAULT_STATUS_PORT}`;
  const flag = address === undefined ? 'PROBE_PORT (environment)' : '-status-address';
  const wanted = address ?? `127.0.0.1:${probePort}`;
  try {
    parseHostPort(wanted);
  } catch {
    throw new UsageError(
      `${flag} is ${JSON.stringify(address ?? probePort)}, which is no ${address === undefined ? 'port' : 'host:port'}`,
      address === undefined ? 'give a number from 0 to 65535' : 'like 127.0.0.1:8000, or [::1]:8000',
    );
  }
  return wanted;
}
