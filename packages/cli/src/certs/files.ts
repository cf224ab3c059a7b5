// SPDX-License-Identifier: Apache-2.0
// Writing under the file names of manual TLS mode without destroying what is there.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeSecretFile } from '@peerpod-tls/base';
import { type TlsRole } from '@peerpod-tls/certs';
import { CliError } from '../errors.js';
import { fileNames } from './names.js';

/** Where the two halves of a pair go; `key` is null when the key lives elsewhere, as with a signing request. */
export interface PairPaths {
  readonly cert: string;
  readonly key: string | null;
}

export function pairPaths(dir: string, kind: 'authority' | TlsRole, withKey = true): PairPaths {
  const names = fileNames[kind];
  return { cert: join(dir, names.cert), key: withKey ? join(dir, names.key) : null };
}

/** Refuses to go on when a file of the pair is there already and `-force` was not given. */
export function refuseOverwrite(paths: PairPaths, force: boolean, loss: string): void {
  const there = [paths.cert, paths.key].filter(path => path !== null).filter(path => existsSync(path));
  if (there.length === 0 || force) return;
  throw new CliError(
    'ERR_CLI_EXISTS',
    `${there.join(' and ')} ${there.length === 1 ? 'exists' : 'exist'} already`,
    {
      hint: `-force replaces ${there.length === 1 ? 'it' : 'them'}; ${loss}`,
    },
  );
}

/**
 * Writes a pair. The key goes first: a reader that looks in between finds an old certificate with a new key, which
 * every program here refuses, and keeps what it has.
 */
export async function writePair(paths: PairPaths, certPem: string, keyPem: string | null): Promise<void> {
  if (paths.key !== null && keyPem !== null) await writeSecretFile(paths.key, keyPem);
  await writeSecretFile(paths.cert, certPem);
}
