// SPDX-License-Identifier: Apache-2.0
// What a user brings by hand, made at run time: an authority, a pair for each side, and every way they can be wrong.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority, type IssuedCertificate } from '@peerpod-tls/certs';

const DAY_MS = 86_400_000;
/** The name of design document 002: what the adaptor asks for in manual mode. */
export const MANUAL_NAME = 'podvm-server';

export const daysAgo = (days: number): Date => new Date(Date.now() - days * DAY_MS);

export interface PairFiles {
  readonly cert: string;
  readonly key: string;
}

export function writePair(directory: string, name: string, pair: IssuedCertificate): PairFiles {
  const files = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  writeFileSync(files.cert, pair.certPem);
  writeFileSync(files.key, pair.keyPem, { mode: 0o600 });
  return files;
}

export interface ManualWorld {
  readonly authority: Authority;
  readonly caFile: string;
  readonly client: PairFiles;
  readonly server: PairFiles;
  /** For the adaptor. */
  readonly adaptorFlags: readonly string[];
  /** For the forwarder of an image that carries its own pair. */
  readonly forwarderFlags: readonly string[];
}

export const pairFlags = (caFile: string, pair: PairFiles): string[] => [
  `-ca-cert-file=${caFile}`,
  `-cert-file=${pair.cert}`,
  `-cert-key=${pair.key}`,
];

/** One authority for both sides, in files. */
export async function manualWorld(directory: string): Promise<ManualWorld> {
  // Old enough to have signed leaves that have expired since.
  const authority = await Authority.create({ subject: { CN: 'podvm_root_ca' }, now: daysAgo(60) });
  const caFile = join(directory, 'ca.crt');
  writeFileSync(caFile, authority.certPem);
  const client = writePair(
    directory,
    'client',
    await authority.issue('client', { subject: { CN: 'podvm_client' } }),
  );
  const server = writePair(directory, 'server', await authority.issue('server', { names: [MANUAL_NAME] }));
  return {
    authority,
    caFile,
    client,
    server,
    adaptorFlags: pairFlags(caFile, client),
    forwarderFlags: pairFlags(caFile, server),
  };
}
