// SPDX-License-Identifier: Apache-2.0
// The adaptor's status endpoint as its reader sees it: readiness, metrics, sandboxes. What is printed is decided elsewhere.
import { get } from 'node:http';
import { codeOf, deadline, messageOf } from '@peerpod-tls/base';
import { CliError } from '../errors.js';
import { usageError } from '../usage.js';
import { type Metrics, parseMetrics } from './prometheus.js';

/** The page of a busy adaptor with a thousand sandboxes stays well below this. */
const LARGEST_ANSWER = 16 * 1024 * 1024;
const TIMEOUT_MS = 5_000;

/** One sandbox as `GET /sandboxes` tells it. Fields that an adaptor leaves out are empty. */
export interface SandboxRow {
  readonly id: string;
  readonly pod: string;
  readonly namespace: string;
  readonly state: string;
  readonly instance: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly socket: string;
  readonly since: Date | null;
  /** The name that the VM has to prove. */
  readonly serverName: string;
  /** The certificate that was issued for the VM. */
  readonly leaf: LeafRow | null;
  /** How the shim's socket is used; null while there is none, or when the adaptor does not tell. */
  readonly shim: ShimRow | null;
  readonly error: string;
}

export interface ShimRow {
  /** `connected`, `unknown` (none is connected, and one may come) or `gone`, as the adaptor says; empty of an older one. */
  readonly state: string;
  /** Connections at this moment. */
  readonly connections: number;
  /** Since when the socket has been open. */
  readonly openedAt: Date | null;
  /** When the last connection ended; null when none has. */
  readonly lastClosedAt: Date | null;
}

/** The list of sandboxes, read for this program and as the adaptor told it. */
export interface SandboxList {
  readonly rows: readonly SandboxRow[];
  /** With every field, also those that this program does not know. */
  readonly told: readonly unknown[];
}

/** A certificate, as far as a list tells it. */
export interface LeafRow {
  readonly subject: string;
  readonly fingerprint: string;
  readonly notAfter: Date | null;
}

/** Everything the endpoint said at one moment. */
export interface Snapshot {
  /** When it was taken, in milliseconds since the epoch. */
  readonly at: number;
  readonly ready: { readonly ok: boolean; readonly reason: string };
  readonly metrics: Metrics;
  readonly sandboxes: SandboxList;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** `host:port`, an IPv6 host in brackets. */
export function parseStatusAddress(text: string): { host: string; port: number } {
  const found = /^(?:\[(?<six>[0-9a-fA-F:.]+)\]|(?<host>[^:[\]/\s]*)):(?<port>\d{1,5})$/u.exec(text);
  const port = Number(found?.groups?.['port'] ?? Number.NaN);
  if (!found || !(port >= 1 && port <= 65_535)) {
    throw usageError(
      `-address ${JSON.stringify(text)} is not host:port`,
      'for example -address 127.0.0.1:8000',
    );
  }
  const host = found.groups?.['six'] ?? found.groups?.['host'] ?? '';
  return { host: host === '' ? '127.0.0.1' : host, port };
}

/** Reads all three pages. */
export async function takeSnapshot(address: string, signal?: AbortSignal): Promise<Snapshot> {
  const [ready, metrics, sandboxes] = await Promise.all([
    request(address, '/readyz', signal),
    request(address, '/metrics', signal),
    readSandboxes(address, signal),
  ]);
  return {
    at: Date.now(),
    ready: { ok: ready.status === 200, reason: ready.body.trim().split('\n')[0] ?? '' },
    metrics: parseMetrics(metrics.body),
    sandboxes,
  };
}

/** Reads the list of sandboxes. */
export async function readSandboxes(address: string, signal?: AbortSignal): Promise<SandboxList> {
  const answer = await request(address, '/sandboxes', signal);
  if (answer.status === 200) {
    const list = parseSandboxes(answer.body);
    if (list !== null) return list;
  }
  throw new CliError(
    'ERR_CLI_STATUS_ANSWER',
    `${address} answered GET /sandboxes with something else (status ${answer.status})`,
    {
      hint: 'is this the status address of a cloud-api-adaptor of this project? see its -status-address',
    },
  );
}

/** An instance that belongs to no sandbox. Fields that an adaptor leaves out are empty. */
export interface OrphanRow {
  readonly id: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly token: string;
}

/** What `GET /orphans` tells. */
export interface OrphanList {
  readonly provider: string;
  /** When the adaptor last looked at its platform with success; null: it has not. */
  readonly checkedAt: Date | null;
  /** Why the last look failed; empty when it did not. */
  readonly error: string;
  readonly orphans: readonly OrphanRow[];
}

/** Reads the list of orphans. */
export async function readOrphans(address: string, signal?: AbortSignal): Promise<OrphanList> {
  const answer = await request(address, '/orphans', signal);
  const list = answer.status === 200 ? parseOrphans(answer.body) : null;
  if (list !== null) return list;
  throw new CliError(
    'ERR_CLI_STATUS_ANSWER',
    `${address} answered GET /orphans with something else (status ${answer.status})`,
    {
      hint: 'is this the status address of a cloud-api-adaptor of this project, and of a version that tells orphans?',
    },
  );
}

/** A `/orphans` document, or null when it is none. */
export function parseOrphans(text: string): OrphanList | null {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return null;
  }
  const list = fieldOf(document, 'orphans');
  if (!Array.isArray(list)) return null;
  return {
    provider: textOf(document, 'provider'),
    checkedAt: dateOf(document, 'checkedAt'),
    error: textOf(document, 'error'),
    orphans: list.map((value: unknown) => {
      const addresses = fieldOf(value, 'addresses');
      return {
        id: textOf(value, 'id'),
        name: textOf(value, 'name'),
        addresses: Array.isArray(addresses) ? addresses.filter(a => typeof a === 'string') : [],
        token: textOf(value, 'token'),
      };
    }),
  };
}

function dateOf(value: unknown, name: string): Date | null {
  const date = new Date(textOf(value, name));
  return Number.isNaN(date.getTime()) ? null : date;
}

function textOf(value: unknown, name: string): string {
  const field = fieldOf(value, name);
  return typeof field === 'string' ? field : '';
}

/** A `/sandboxes` document, or null when it is none. */
export function parseSandboxes(text: string): SandboxList | null {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return null;
  }
  const list = fieldOf(document, 'sandboxes');
  return Array.isArray(list) ? { rows: list.map(sandboxOf), told: list } : null;
}

function sandboxOf(value: unknown): SandboxRow {
  const text = (name: string) => textOf(value, name);
  const addresses = fieldOf(value, 'addresses');
  const leaf = fieldOf(value, 'leaf');
  const shim = fieldOf(value, 'shim');
  const connections = fieldOf(shim, 'connections');
  return {
    id: text('id'),
    pod: text('pod'),
    namespace: text('namespace'),
    state: text('state'),
    instance: text('instance'),
    name: text('name'),
    addresses: Array.isArray(addresses) ? addresses.filter(a => typeof a === 'string') : [],
    socket: text('socket'),
    since: dateOf(value, 'since'),
    serverName: text('serverName'),
    leaf:
      typeof leaf === 'object' && leaf !== null
        ? {
            subject: textOf(leaf, 'subject'),
            fingerprint: textOf(leaf, 'fingerprint'),
            notAfter: dateOf(leaf, 'notAfter'),
          }
        : null,
    shim:
      typeof connections === 'number'
        ? {
            state: textOf(shim, 'state'),
            connections,
            openedAt: dateOf(shim, 'openedAt'),
            lastClosedAt: dateOf(shim, 'lastClosedAt'),
          }
        : null,
    error: text('error'),
  };
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function request(address: string, path: string, signal?: AbortSignal): Promise<Answer> {
  const { host, port } = parseStatusAddress(address);
  const patience = deadline(TIMEOUT_MS, ...(signal === undefined ? [] : [signal]));
  return new Promise<Answer>((resolve, reject) => {
    const asked = get({ host, port, path, signal: patience, agent: false }, response => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > LARGEST_ANSWER) response.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      );
    });
    asked.on('error', reject);
  })
    .finally(() => patience[Symbol.dispose]())
    .catch((error: unknown) => {
      signal?.throwIfAborted();
      throw new CliError(
        'ERR_CLI_STATUS_UNREACHABLE',
        `no status from ${address}: ${wordsFor(error, patience.aborted)}`,
        {
          hint: 'is cloud-api-adaptor running, and is this its -status-address (or PROBE_PORT)?',
          cause: error,
        },
      );
    });
}

function wordsFor(error: unknown, timedOut: boolean): string {
  if (timedOut) return `no answer within ${TIMEOUT_MS / 1000} s`;
  switch (codeOf(error)) {
    case 'ECONNREFUSED':
      return 'nothing listens there';
    case 'ECONNRESET':
    case 'HPE_INVALID_CONSTANT':
      return 'what listens there does not speak HTTP';
    case 'ENOTFOUND':
      return 'the name is unknown';
    default:
      return messageOf(error);
  }
}
