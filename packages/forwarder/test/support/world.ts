// SPDX-License-Identifier: Apache-2.0
// What surrounds a forwarder: an authority, an adaptor's certificate, a configuration file, an agent. All real, all in
// a directory of the test's own.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentService, grpc, healthService } from '@peerpod-tls/agent-protocol';
import { Authority, checkMaterial, selfSignedClient } from '@peerpod-tls/certs';
import type { IssuedCertificate, TlsMaterial } from '@peerpod-tls/certs';
import { createLogger } from '@peerpod-tls/daemon';
import { checkHealth, dialLink } from '@peerpod-tls/link';
import type { VerifiedPeer, LinkSecurity } from '@peerpod-tls/link';
import { TtrpcServer, implement } from '@peerpod-tls/ttrpc';
import type { Test } from 'tap';

export const SERVER_NAME = 'podvm-test';
export const silent = createLogger({ name: 'test', level: 'silent' });

export interface World {
  readonly directory: string;
  readonly authority: Authority;
  readonly server: IssuedCertificate;
  /** The adaptor's own, its own anchor as in automatic mode. */
  readonly client: IssuedCertificate;
  readonly configFile: string;
  readonly agentSocket: string;
  /** Flags for this world: its configuration, its agent, any port of the loopback. */
  readonly argv: readonly string[];
  /** Keys of apf.json over the usual ones; undefined takes one away. */
  configure(changes?: Readonly<Record<string, unknown>>): void;
  file(name: string, content: string, mode?: number): string;
}

export async function makeWorld(t: Test): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'fw-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const authority = await Authority.create();
  const server = await authority.issue('server', { names: [SERVER_NAME] });
  const client = await selfSignedClient();
  const configFile = join(directory, 'apf.json');
  const agentSocket = join(directory, 'agent.sock');
  const world: World = {
    directory,
    authority,
    server,
    client,
    configFile,
    agentSocket,
    argv: ['-config', configFile, '-listen', '127.0.0.1:0', '-kata-agent-socket', agentSocket],
    configure(changes = {}) {
      const config = {
        'pod-network': { podip: '' },
        'pod-namespace': 'default',
        'pod-name': 'pod',
        'tls-server-key': server.keyPem,
        'tls-server-cert': server.certPem,
        'tls-client-ca': client.certPem,
        ...changes,
      };
      writeFileSync(configFile, JSON.stringify(config, null, 4), { mode: 0o600 });
    },
    file(name, content, mode = 0o600) {
      const path = join(directory, name);
      writeFileSync(path, content, { mode });
      return path;
    },
  };
  world.configure();
  return world;
}

/** The adaptor's side of TLS. */
export function clientSecurity(
  world: World,
  client = world.client,
  anchor = world.authority.certPem,
): LinkSecurity {
  const material: TlsMaterial = checkMaterial({
    role: 'client',
    cert: { pem: client.certPem, file: 'client.crt', flag: '-cert-file' },
    key: { pem: client.keyPem, file: 'client.key', flag: '-cert-key' },
    anchors: { pem: anchor, file: 'ca.crt', flag: '-ca-cert-file' },
  });
  return { t: 'tls', material: () => material, profile: { minVersion: 'TLSv1.2' } };
}

const { signal } = new AbortController();

export function dial(
  world: World,
  port: number,
  security: LinkSecurity = clientSecurity(world),
): Promise<VerifiedPeer> {
  return dialLink({ host: '127.0.0.1', port, security, serverName: SERVER_NAME, signal, log: silent });
}

/** Resolves once the agent answered through a link of its own. */
export async function check(world: World, port: number, security?: LinkSecurity): Promise<void> {
  await checkHealth(await dial(world, port, security), { timeoutMs: 10_000, signal });
}

export interface Agent {
  /** Connections served now. */
  connections(): number;
  /** Requests of CreateContainer, as they arrived. */
  readonly containers: grpc.CreateContainerRequest[];
  /** How many WaitProcess calls wait; they never return. */
  waiting(): number;
  /** Drops every connection and listens no more. */
  die(): Promise<void>;
}

/** An agent that speaks real ttrpc on the world's socket. */
export async function startAgent(t: Test, world: World): Promise<Agent> {
  const containers: grpc.CreateContainerRequest[] = [];
  let waiting = 0;
  const server = new TtrpcServer({
    services: [
      implement(healthService, {
        Check: () => ({ status: grpc.HealthCheckResponse.ServingStatus.SERVING }),
        Version: () => ({ grpcVersion: 'test', agentVersion: '1' }),
      }),
      implement(agentService, {
        CreateContainer: request => {
          containers.push(request);
          return {};
        },
        WaitProcess: async () => {
          waiting += 1;
          return new Promise<never>(() => {});
        },
      }),
    ],
  });
  const sockets = new Set<Socket>();
  const listener = createServer(socket => {
    sockets.add(socket.once('close', () => sockets.delete(socket)));
    server.serve(socket);
  }).listen(world.agentSocket);
  await once(listener, 'listening');
  const die = async (): Promise<void> => {
    if (!listener.listening) return;
    const closed = once(listener, 'close');
    listener.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  t.teardown(die);
  return { connections: () => sockets.size, containers, waiting: () => waiting, die };
}
