// SPDX-License-Identifier: Apache-2.0
// What several tests of this package need: openssl where there is one, PEM sources with names, a TLS handshake.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import { verifyPeer, type PemSource, type Refusal, type TlsRole } from '../src/index.js';

const found = spawnSync('openssl', ['version'], { encoding: 'utf8' });
/** `false` where the openssl program is there, else the reason to skip. */
export const noOpenssl: false | string = found.status === 0 ? false : 'no openssl on PATH';

/** In place of a file name: a file with the input, since openssl cannot open the socket node has for standard input. */
export const INPUT = '@input';

/** Runs openssl, with an input where given, and returns what it printed. Throws what it complained about. */
export function openssl(args: readonly string[], options: { input?: string; cwd?: string } = {}): string {
  const dir = mkdtempSync(join(tmpdir(), 'certs-openssl-'));
  const file = join(dir, 'input');
  if (options.input !== undefined) writeFileSync(file, options.input);
  const named = args.map(arg => (arg === INPUT ? file : arg));
  const run = spawnSync('openssl', named, { encoding: 'utf8', ...options });
  rmSync(dir, { recursive: true });
  if (run.status !== 0) throw new Error(`openssl ${args.join(' ')}: ${run.stdout}${run.stderr}`);
  return run.stdout;
}

/** The verdict of `openssl verify -x509_strict` on a leaf. */
export function strictVerify(
  dir: string,
  purpose: 'sslserver' | 'sslclient',
  ca: string,
  leaf: string,
  extra: readonly string[] = [],
): string {
  writeFileSync(join(dir, 'ca.pem'), ca);
  writeFileSync(join(dir, 'leaf.pem'), leaf);
  return openssl(['verify', '-x509_strict', ...extra, '-purpose', purpose, '-CAfile', 'ca.pem', 'leaf.pem'], {
    cwd: dir,
  });
}

export const source = (pem: string, file: string, flag: string): PemSource => ({ pem, file, flag });

export interface End {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | string[];
}

/** A mutual handshake on loopback, one byte each way. Resolves with the protocol, rejects with what either end said. */
export async function handshake(
  server: End,
  client: End,
  serverName: string,
  options: tls.SecureContextOptions = {},
): Promise<string> {
  const listener = tls.createServer({ ...server, ...options, requestCert: true, rejectUnauthorized: true });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  const { port } = address;
  const refused = once(listener, 'tlsClientError').then(([error]) => Promise.reject(error));
  refused.catch(() => undefined);
  listener.on('secureConnection', socket => {
    socket.on('error', () => socket.destroy());
    socket.end('x');
  });
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    servername: serverName,
    ...client,
    ...options,
  });
  try {
    await Promise.race([once(socket, 'data'), refused]);
    return socket.getProtocol() ?? 'none';
  } finally {
    socket.destroy();
    listener.close();
  }
}

/** The refusal of a peer, or null where it is accepted. */
export function refusalOf(
  leaf: X509Certificate | null,
  chain: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  role: TlsRole,
  options: { readonly name?: string; readonly now?: Date } = {},
): Refusal | null {
  const verification = verifyPeer({ leaf, chain, anchors, role, ...options });
  return verification.t === 'refused' ? verification.refusal : null;
}
