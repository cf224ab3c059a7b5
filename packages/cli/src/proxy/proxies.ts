// SPDX-License-Identifier: Apache-2.0
// The agent-protocol-proxies of a node: where their control sockets are, and what each says of itself. Ending one is
// stop.ts; nothing is changed here.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '@peerpod-tls/base';
import { proxyService } from '@peerpod-tls/agent-protocol';
import { type TypedClient, clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import { CliError } from '../errors.js';
import { callError } from '../shim/call-error.js';

/** Version of the control protocol that is spoken here. */
const API = 1;
const TIMEOUT_MS = 5_000;
/** Where cloud-api-adaptor keeps its state when nobody says where. */
const STATE_DIRS = ['/var/lib/peerpod', '/run/peerpod/pods/.state'];

export interface ProxySandbox {
  readonly id: string;
  readonly pod: string;
  /** Connections of shims at this moment. */
  readonly connections: number;
  readonly openedAt: string | null;
  readonly lastClosedAt: string | null;
}

export interface RunningProxy {
  readonly generation: string;
  /** Its control socket. */
  readonly control: string;
  readonly pid: number;
  readonly version: string;
  readonly startedAt: string | null;
  /** It takes no new sandboxes and ends after its last. */
  readonly retired: boolean;
  /** The hypervisor socket it listens on; empty once it was given up. */
  readonly socket: string;
  /** Sandboxes whose StopVM waits for an adaptor. */
  readonly pendingStops: readonly string[];
  readonly sandboxes: readonly ProxySandbox[];
}

/** One that is there, or a directory of one that does not answer. */
export type FoundProxy =
  | { readonly t: 'running'; readonly proxy: RunningProxy }
  | {
      readonly t: 'silent';
      readonly generation: string;
      readonly control: string;
      readonly error: string;
    };

export interface ProxyPlace {
  /** Empty: where adaptors keep their state by default. */
  readonly stateDir: string;
  /** A control socket that somebody chose; empty: those below the state directory. */
  readonly proxySocket: string;
}

export type ProxyClient = TypedClient<typeof proxyService>;

/** Asks every proxy there is. Directories without an answer are told as such: their sandboxes wait for an adaptor. */
export async function findProxies(place: ProxyPlace): Promise<FoundProxy[]> {
  return Promise.all(controlSockets(place).map(found => describe(found.generation, found.control)));
}

/** Calls a proxy, and closes the connection. */
export async function withProxy<T>(control: string, use: (proxy: ProxyClient) => Promise<T>): Promise<T> {
  const client = await connectUnix(control, { timeoutMs: TIMEOUT_MS });
  try {
    return await use(clientOf(proxyService, client));
  } finally {
    client.close();
  }
}

function controlSockets(place: ProxyPlace): { generation: string; control: string }[] {
  if (place.proxySocket !== '') return [{ generation: '', control: place.proxySocket }];
  const given = place.stateDir !== '';
  return (given ? [place.stateDir] : STATE_DIRS).flatMap(stateDir => {
    const directory = join(stateDir, 'proxy');
    return entries(directory, given).map(generation => ({
      generation,
      control: join(directory, generation, 'control.sock'),
    }));
  });
}

function entries(directory: string, given: boolean): string[] {
  if (!existsSync(directory) && !given) return [];
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => entry.name)
      .sort();
  } catch (cause) {
    throw new CliError('ERR_CLI_NO_PROXY', `cannot look for proxies in ${directory}: ${messageOf(cause)}`, {
      hint: 'give the -state-dir of the adaptor, and run this as the user it runs as',
      cause,
    });
  }
}

async function describe(generation: string, control: string): Promise<FoundProxy> {
  try {
    const proxy = await withProxy(control, async client => {
      const hello = await client.Hello({ api: API, program: 'peerpod' }, { timeoutMs: TIMEOUT_MS });
      const { sandboxes } = await client.List({}, { timeoutMs: TIMEOUT_MS });
      return {
        generation: hello.generation,
        control,
        pid: hello.pid,
        version: hello.version,
        startedAt: orNull(hello.startedAt),
        retired: hello.retired,
        socket: hello.socket,
        pendingStops: hello.pendingStops,
        sandboxes: sandboxes.map(sandboxOf),
      };
    });
    return { t: 'running', proxy };
  } catch (error) {
    return { t: 'silent', generation, control, error: messageOf(callError('Hello', error)) };
  }
}

/** A sandbox as the control protocol tells it. */
export function sandboxOf(view: {
  readonly sandbox?: string | null;
  readonly pod?: string | null;
  readonly connections?: number | null;
  readonly openedAt?: string | null;
  readonly lastClosedAt?: string | null;
}): ProxySandbox {
  return {
    id: view.sandbox ?? '',
    pod: view.pod ?? '',
    connections: view.connections ?? 0,
    openedAt: orNull(view.openedAt),
    lastClosedAt: orNull(view.lastClosedAt),
  };
}

const orNull = (text: string | null | undefined): string | null =>
  text === '' || text === undefined ? null : text;
