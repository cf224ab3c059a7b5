// SPDX-License-Identifier: Apache-2.0
// A pod VM as Docker sees it: what is asked for when one is made, and what is read out of the engine's answers.
import { createHash } from 'node:crypto';

import type { Instance, InstanceSpec } from '../provider.js';
import { field, numberIn, textIn } from './field.js';

/** Where process-user-data looks first (NoCloud as a directory). */
const SEED = '/media/cidata/user-data';

/** Labels by which containers of ours are found again. None holds a secret. */
export const LABEL = {
  owner: 'peerpod.adaptor',
  token: 'peerpod.token',
  sandbox: 'peerpod.sandbox',
  name: 'peerpod.name',
  pod: 'peerpod.pod',
  namespace: 'peerpod.namespace',
} as const;

const MEBIBYTE = 1 << 20;
/** The engine takes no smaller limit. */
const LEAST_MEMORY = 6 * MEBIBYTE;

/** A read-only mount that every pod VM gets. */
export interface SharedMount {
  readonly type: 'bind' | 'volume';
  readonly source: string;
  readonly target: string;
}

export interface ContainerPlan {
  readonly image: string;
  readonly network: string;
  readonly owner: string;
  readonly token: string;
  readonly privileged: boolean;
  readonly capabilities: readonly string[];
  readonly port: number;
  readonly forwarderOptions: readonly string[];
  readonly mounts: readonly SharedMount[];
  /** Host path of the user-data; null when it is copied in instead. */
  readonly userData: string | null;
  /** Processors the engine has: it refuses a limit above. */
  readonly processors: number;
}

/** Body of `POST /containers/create`. */
export function containerBody(spec: InstanceSpec, plan: ContainerPlan): Record<string, unknown> {
  const mounts = plan.mounts.map(({ type, source, target }) => mountOf(type, source, target));
  if (plan.userData !== null) mounts.push(mountOf('bind', plan.userData, SEED));
  return {
    Image: plan.image,
    Hostname: spec.name,
    Labels: {
      [LABEL.owner]: plan.owner,
      [LABEL.token]: plan.token,
      [LABEL.sandbox]: spec.sandbox,
      [LABEL.name]: spec.name,
      [LABEL.pod]: spec.podName,
      [LABEL.namespace]: spec.podNamespace,
    },
    Env: [`FORWARDER_PORT=${plan.port}`, `FORWARDER_OPTIONS=${plan.forwarderOptions.join(' ')}`],
    HostConfig: {
      NetworkMode: plan.network,
      Mounts: mounts,
      // The configuration with the private key stays in memory. Others than root may look for files here, not read ours.
      Tmpfs: { '/run/peerpod': 'rw,noexec,nosuid,nodev,mode=0755,size=16m' },
      RestartPolicy: { Name: 'no' },
      // The console: bounded, and kept by a driver whose lines can be read back.
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
      PidsLimit: 4096,
      ...limitsOf(spec, plan.processors),
      ...(plan.privileged
        ? { Privileged: true }
        : { CapDrop: ['ALL'], CapAdd: plan.capabilities, SecurityOpt: ['no-new-privileges'] }),
    },
    NetworkingConfig: { EndpointsConfig: { [plan.network]: {} } },
  };
}

function mountOf(type: string, source: string, target: string): Record<string, unknown> {
  return { Type: type, Source: source, Target: target, ReadOnly: true };
}

function limitsOf({ vcpus, memoryMiB }: InstanceSpec, processors: number): Record<string, number> {
  const cpus = processors > 0 ? Math.min(vcpus, processors) : vcpus;
  return {
    ...(cpus > 0 ? { NanoCpus: cpus * 1e9 } : {}),
    ...(memoryMiB > 0 ? { Memory: Math.max(memoryMiB * MEBIBYTE, LEAST_MEMORY) } : {}),
  };
}

/** Name to take when another container already has the instance's. */
export function secondName(name: string, token: string): string {
  return `${name}-${createHash('sha256').update(token).digest('hex').slice(0, 8)}`;
}

/** An entry of `GET /containers/json`; null when it is not one. */
export function instanceFromList(entry: unknown, network: string): Instance | null {
  const id = textIn(entry, 'Id');
  if (id === '') return null;
  return instanceOf(id, field(entry, 'Labels'), field(entry, 'NetworkSettings'), network);
}

export interface Inspected {
  readonly instance: Instance;
  readonly running: boolean;
  /** Why it is not running, in words; empty while it is. */
  readonly ended: string;
}

/** The answer of `GET /containers/<id>/json`. */
export function inspected(answer: unknown, id: string, network: string): Inspected {
  const state = field(answer, 'State');
  const running = field(state, 'Running') === true;
  return {
    instance: instanceOf(id, field(answer, 'Config', 'Labels'), field(answer, 'NetworkSettings'), network),
    running,
    ended: running ? '' : whyEnded(state),
  };
}

function whyEnded(state: unknown): string {
  const error = textIn(state, 'Error');
  if (field(state, 'OOMKilled') === true) return 'it ran out of memory and was killed';
  if (error !== '') return `it did not start: ${error}`;
  if (textIn(state, 'Status') === 'created') return 'it was never started';
  return `it ended with exit code ${numberIn(state, 'ExitCode') ?? 'unknown'}`;
}

function instanceOf(id: string, labels: unknown, settings: unknown, network: string): Instance {
  const token = textIn(labels, LABEL.token);
  const name = textIn(labels, LABEL.name);
  return { id, name, addresses: addressesOf(settings, network), ...(token === '' ? {} : { token }) };
}

/** Addresses in the network asked for, or in the only one there is (it may have been named by its id). */
function addressesOf(settings: unknown, network: string): string[] {
  const networks = field(settings, 'Networks');
  if (typeof networks !== 'object' || networks === null) return [];
  const all: unknown[] = Object.values(networks);
  const ours = field(networks, network) ?? (all.length === 1 ? all[0] : undefined);
  return [textIn(ours, 'IPAddress'), textIn(ours, 'GlobalIPv6Address')].filter(address => address !== '');
}

/**
 * The text of a container's log: without a terminal the engine sends frames, one byte for the stream, three of nothing,
 * four for the length (Engine API, "Attach to a container", stream format). Control characters are left out, so that
 * a guest cannot write to an operator's terminal.
 */
export function consoleText(log: Buffer, longest = 8192): string {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + 8 <= log.length && (log[at] ?? 255) <= 2 && log.readUIntBE(at + 1, 3) === 0) {
    const length = log.readUInt32BE(at + 4);
    parts.push(log.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  if (parts.length === 0) parts.push(log);
  const text = Buffer.concat(parts).toString('utf8');
  return text
    .replaceAll(/[^\P{Cc}\n\t]/gu, '')
    .trimEnd()
    .slice(-longest);
}
