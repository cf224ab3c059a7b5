// SPDX-License-Identifier: Apache-2.0
// Certificates and links for tests: made here at run time, nothing checked in.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  Authority,
  checkMaterial,
  selfSignedClient,
  type IssuedCertificate,
  type TlsMaterial,
  type TlsProfile,
} from '@peerpod-tls/certs';
import { pino, type Logger } from 'pino';
import type { Test } from 'tap';
import type { VerifiedPeer } from '../../src/tls/verify-peer.js';
import { dialLink } from '../../src/tls/dial.js';
import { listenLink, type LinkListener, type ListenOptions } from '../../src/tls/listen.js';

export const profile: TlsProfile = { minVersion: 'TLSv1.3' };
export const day = 86_400_000;
export const serverName = 'podvm-test';

export const silentLog: Logger = pino({ level: 'silent' });

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [key: string]: unknown;
}

/** A logger whose lines can be read. */
export function recordingLog(): { log: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const log = pino(
    { level: 'debug' },
    { write: (text: string) => void lines.push(JSON.parse(text) as LogLine) },
  );
  return { log, lines };
}

const from = (pem: string, flag: string) => ({ pem, file: `${flag}.pem`, flag });

export function material(
  role: 'server' | 'client',
  own: { certPem: string; keyPem: string },
  anchorsPem: string | null,
  now?: Date,
): TlsMaterial {
  return checkMaterial({
    role,
    cert: from(own.certPem, '-cert'),
    key: from(own.keyPem, '-key'),
    anchors: anchorsPem === null ? null : from(anchorsPem, '-anchors'),
    allowNoAnchors: anchorsPem === null,
    ...(now === undefined ? {} : { now }),
  });
}

export interface World {
  readonly authority: Authority;
  readonly serverLeaf: IssuedCertificate;
  readonly clientLeaf: IssuedCertificate;
  readonly server: TlsMaterial;
  readonly client: TlsMaterial;
}

/** The shape of automatic mode: a CA for servers, a self-signed certificate for the client. */
export async function makeWorld(): Promise<World> {
  const authority = await Authority.create();
  const serverLeaf = await authority.issue('server', { names: [serverName] });
  const clientLeaf = await selfSignedClient();
  return {
    authority,
    serverLeaf,
    clientLeaf,
    server: material('server', serverLeaf, clientLeaf.certPem),
    client: material('client', clientLeaf, authority.certPem),
  };
}

/**
 * A server leaf that expires within the second before so many have gone by, since dates are whole seconds. Fewer than
 * four may be over before a busy machine has a link.
 */
export function expiringLeaf({ authority }: World, seconds: number): Promise<IssuedCertificate> {
  return authority.issue('server', {
    names: [serverName],
    lifetimeDays: 1,
    now: new Date(Date.now() + seconds * 1000 - day),
  });
}

export function listen(
  world: World,
  o: Partial<ListenOptions> & Pick<ListenOptions, 'onPeer'>,
): Promise<LinkListener> {
  return listenLink({
    host: '127.0.0.1',
    port: 0,
    security: { t: 'tls', material: () => world.server, profile },
    log: silentLog,
    ...o,
  });
}

export function dial(
  world: World,
  port: number,
  o: Partial<Parameters<typeof dialLink>[0]> = {},
): Promise<VerifiedPeer> {
  return dialLink({
    host: '127.0.0.1',
    port,
    security: { t: 'tls', material: () => world.client, profile },
    serverName,
    signal: AbortSignal.timeout(10_000),
    log: silentLog,
    ...o,
  });
}

/** The world's server material with a key of RSA-512, which the OpenSSL of no supported Node takes into a context. */
export function weakMaterial(t: Test, world: World): TlsMaterial {
  const directory = t.testdir();
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=weak');
  openssl(
    'req',
    '-newkey',
    'rsa:512',
    '-nodes',
    '-keyout',
    'leaf.key',
    '-out',
    'leaf.csr',
    '-subj',
    '/CN=leaf',
  );
  const sign = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1'];
  openssl('x509', '-req', '-in', 'leaf.csr', '-out', 'leaf.crt', ...sign);
  const read = (name: string): string => readFileSync(join(directory, name), 'utf8');
  return { ...world.server, chainPem: read('leaf.crt'), keyPem: read('leaf.key') };
}
