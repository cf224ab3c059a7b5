// SPDX-License-Identifier: Apache-2.0
// Decides, from flags and apf.json, with what the forwarder serves: checked TLS material, or plain text when told so
// loudly. Opens no socket.
import { statSync } from 'node:fs';

import { checkMaterial, parseTlsProfile, readPem, verifyPeer } from '@peerpod-tls/certs';
import type { PemSource, TlsMaterial, TlsProfile } from '@peerpod-tls/certs';

import { unnamedClient, type NamedClients } from './named-clients.js';
import { flawsOf } from './client-files.js';
import { TrustError } from './errors.js';
import type { InForce, Note } from './in-force.js';

/** TLS as it is served; `tls-any-client` exists only behind a flag that says so. */
export interface TlsServing extends InForce {
  readonly t: 'tls' | 'tls-any-client';
}

/** How the forwarder serves, with what an operator should know though it stops nothing. */
export type Serving = TlsServing | { readonly t: 'plain'; readonly notes: readonly Note[] };

/** The forwarder's flags that decide; files undefined when not given. */
export interface ServingFlags {
  readonly caCertFile: string | undefined;
  readonly certFile: string | undefined;
  readonly certKey: string | undefined;
  readonly disableTls: boolean;
  readonly allowAnyClient: boolean;
  /** Who may come in, of those the anchors vouch for; null: all. */
  readonly clients: NamedClients | null;
}

/** The configuration file as far as TLS goes: where it is, and the texts in it. */
export interface ServingConfiguration {
  readonly path: string;
  readonly config: {
    readonly tlsServerKey?: string | undefined;
    readonly tlsServerCert?: string | undefined;
    readonly tlsClientCa?: string | undefined;
    readonly tlsMinVersion?: string | undefined;
    readonly tlsCipherSuites?: readonly string[] | undefined;
  };
}

/**
 * Upstream's precedence (a flag's file over the configuration file's text, the pair as one) without its silence: half
 * a pair, no client anchor, and anchors that a flag would throw away are errors.
 *
 * @throws TrustError, or CertError naming the file and the flag
 */
export function decideServing(
  flags: ServingFlags,
  file: ServingConfiguration,
  now: Date = new Date(),
): Serving {
  const notes: Note[] = [];
  const ignored = tlsSettings(flags, file.config);
  if (flags.disableTls) {
    notes.push({
      text: 'plain text served to anybody who can reach the port (-disable-tls)',
      fields: { ignored },
    });
    return { t: 'plain', notes };
  }
  const pair = serverPair(flags, file, notes);
  const anchors = clientAnchors(flags, file);
  if (anchors !== null && flags.allowAnyClient) {
    throw new TrustError(
      'ERR_TRUST_CONTRADICTION',
      `-allow-any-client would throw away the client anchors of ${anchors.flag} (${anchors.file})`,
      { hint: 'leave -allow-any-client out: the anchors are what authenticates the adaptor' },
    );
  }
  if (anchors === null && !flags.allowAnyClient) {
    throw new TrustError(
      'ERR_TRUST_NO_CLIENT_ANCHOR',
      `no client anchor: neither -ca-cert-file nor tls-client-ca in ${file.path}, so every client would be served`,
      { hint: 'give -ca-cert-file FILE with what the client certificate of the adaptor chains to' },
    );
  }
  const material = checkMaterial({
    role: 'server',
    cert: pair.cert,
    key: pair.key,
    anchors,
    ...(anchors === null ? { allowNoAnchors: true } : {}),
    now,
  });
  if (anchors === null)
    notes.push({ text: 'any client served without a certificate (-allow-any-client)', fields: {} });
  notes.push(...flawsOf(material.warnings), ...ownLeafAsClient(pair.cert, material, flags.clients, now));
  return {
    t: anchors === null ? 'tls-any-client' : 'tls',
    material,
    profile: profileOf(file, material),
    notes,
  };
}

/** Warned of at every start: then whoever has the key of one pod VM can drive all that have these anchors. */
function ownLeafAsClient(
  { file, flag }: PemSource,
  { leaf, chain, anchors }: TlsMaterial,
  clients: NamedClients | null,
  now: Date,
): Note[] {
  if (verifyPeer({ leaf, chain, anchors, role: 'client', now }).t === 'refused') return [];
  if (clients !== null && unnamedClient(leaf, clients) !== null) return [];
  return [
    {
      text: 'own certificate would be let in as a client: the key of this pod VM opens every forwarder with these anchors',
      fields: {
        file,
        flag,
        hint: 'have it issued with extendedKeyUsage serverAuth, or say with -client-names or -client-fingerprints who may come in',
      },
    },
  ];
}

function serverPair(
  flags: ServingFlags,
  file: ServingConfiguration,
  notes: Note[],
): { cert: PemSource; key: PemSource } {
  const { certFile, certKey } = flags;
  if (certFile !== undefined && certKey !== undefined) {
    noteExposedKey(certKey, notes);
    return { cert: readPem(certFile, '-cert-file'), key: readPem(certKey, '-cert-key') };
  }
  if (certFile !== undefined || certKey !== undefined) {
    const [given, missing] =
      certFile === undefined ? ['-cert-key', '-cert-file'] : ['-cert-file', '-cert-key'];
    throw new TrustError('ERR_TRUST_HALF_PAIR', `${given} is given without ${missing}`, {
      hint: `add ${missing}, or leave both out for the pair in ${file.path}`,
    });
  }
  const cert = file.config.tlsServerCert ?? '';
  const key = file.config.tlsServerKey ?? '';
  if (cert !== '' && key !== '') {
    return { cert: inline(file, 'tls-server-cert', cert), key: inline(file, 'tls-server-key', key) };
  }
  if (cert !== '' || key !== '') {
    const [given, missing] =
      cert === '' ? ['tls-server-key', 'tls-server-cert'] : ['tls-server-cert', 'tls-server-key'];
    throw new TrustError('ERR_TRUST_HALF_PAIR', `${file.path} has ${given} and no ${missing}`, {
      hint: 'the adaptor sends both or none; or give -cert-file and -cert-key',
    });
  }
  throw new TrustError(
    'ERR_TRUST_NO_CERTIFICATE',
    `no server certificate: neither -cert-file and -cert-key nor tls-server-cert and tls-server-key in ${file.path}`,
    {
      hint: 'in manual mode give -cert-file, -cert-key and -ca-cert-file; in automatic mode the adaptor (without -ca-cert-file) sends them',
    },
  );
}

function clientAnchors(flags: ServingFlags, file: ServingConfiguration): PemSource | null {
  if (flags.caCertFile !== undefined) return readPem(flags.caCertFile, '-ca-cert-file');
  const text = file.config.tlsClientCa ?? '';
  return text === '' ? null : inline(file, 'tls-client-ca', text);
}

function inline(file: ServingConfiguration, key: string, pem: string): PemSource {
  return { file: file.path, flag: key, pem };
}

function profileOf(file: ServingConfiguration, material: TlsMaterial): TlsProfile {
  const { tlsMinVersion, tlsCipherSuites } = file.config;
  const keyType = keyTypeOf(material);
  return parseTlsProfile(
    {
      ...(tlsMinVersion === undefined ? {} : { minVersion: tlsMinVersion }),
      ...(tlsCipherSuites === undefined ? {} : { cipherSuites: tlsCipherSuites }),
      ...(keyType === null ? {} : { keyType }),
    },
    { minVersion: `tls-min-version in ${file.path}`, cipherSuites: `tls-cipher-suites in ${file.path}` },
  );
}

function keyTypeOf(material: TlsMaterial): 'ec' | 'rsa' | 'ed25519' | null {
  const type = material.leaf.publicKey.asymmetricKeyType;
  return type === 'ec' || type === 'rsa' || type === 'ed25519' ? type : null;
}

/** The permission bits as text when group or others may read, else null. */
export function exposedMode(mode: number): string | null {
  return (mode & 0o044) === 0 ? null : (mode & 0o777).toString(8).padStart(4, '0');
}

function noteExposedKey(path: string, notes: Note[]): void {
  const mode = exposedMode(statSync(path, { throwIfNoEntry: false })?.mode ?? 0);
  if (mode !== null)
    notes.push({ text: 'private key readable by others', fields: { file: path, flag: '-cert-key', mode } });
}

/** Names of the TLS settings present, for saying which of them plain text ignores. */
function tlsSettings(flags: ServingFlags, config: ServingConfiguration['config']): string[] {
  const present: [string, unknown][] = [
    ['-ca-cert-file', flags.caCertFile],
    ['-cert-file', flags.certFile],
    ['-cert-key', flags.certKey],
    ['tls-server-cert', config.tlsServerCert],
    ['tls-server-key', config.tlsServerKey],
    ['tls-client-ca', config.tlsClientCa],
    ['tls-min-version', config.tlsMinVersion],
    ['tls-cipher-suites', config.tlsCipherSuites],
  ];
  return present.filter(([, value]) => value !== undefined && value !== '').map(([name]) => name);
}
