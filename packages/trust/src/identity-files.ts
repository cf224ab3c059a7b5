// SPDX-License-Identifier: Apache-2.0
// The CA and the client pair of automatic mode on disk: made once, then only read. All four files change in one rename,
// so a crash leaves either nothing or a whole identity.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, reasonOf, writeSecretSet } from '@peerpod-tls/base';
import {
  Authority,
  checkMaterial,
  readPem,
  selfSignedClient,
  type KeyAlgorithm,
  type TlsMaterial,
} from '@peerpod-tls/certs';
import { TrustError } from './errors.js';

const FLAG = '-state-dir';

export interface IdentityFiles {
  readonly authority: Authority;
  readonly client: TlsMaterial;
  /** False when they were there already. */
  readonly created: boolean;
}

/**
 * Reads `<state-dir>/identity`, or makes it when there is none. Never makes a new one over a broken one: every VM that
 * is running trusts the old, and would be out of reach for good.
 *
 * @throws TrustError `ERR_TRUST_IDENTITY` (unreadable, mixed up) or `ERR_TRUST_IDENTITY_EXPIRED`
 */
export async function openIdentityFiles(
  stateDir: string,
  algorithm: KeyAlgorithm,
  now: Date = new Date(),
): Promise<IdentityFiles> {
  const directory = path.join(stateDir, 'identity');
  const created = await isEmpty(directory);
  if (created) await makeIdentity(directory, algorithm, now);
  try {
    return { ...readIdentity(directory, now), created };
  } catch (cause) {
    const expired = codeOf(cause) === 'ERR_CERT_EXPIRED';
    throw new TrustError(
      expired ? 'ERR_TRUST_IDENTITY_EXPIRED' : 'ERR_TRUST_IDENTITY',
      `the CA and client certificate in ${directory} cannot be used: ${reasonOf(cause)}`,
      {
        hint: expired
          ? `stop all sandboxes, move ${directory} away and start again: a new CA is made, and pods made before it are out of reach`
          : `restore ${directory} from a copy, or, if no pod VM is running any more, move it away: a new one is made`,
        cause,
      },
    );
  }
}

const FILES = ['ca.crt', 'ca.key', 'client.crt', 'client.key'] as const;

/** Links that lead nowhere yet, as a write that was cut short leaves them, count as nothing. */
async function isEmpty(directory: string): Promise<boolean> {
  for (const name of FILES) {
    try {
      await stat(path.join(directory, name));
      return false;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
  return true;
}

async function makeIdentity(directory: string, algorithm: KeyAlgorithm, now: Date): Promise<void> {
  const authority = await Authority.create({ algorithm, now });
  const client = await selfSignedClient({ algorithm, now });
  await writeSecretSet(directory, {
    'ca.crt': authority.certPem,
    'ca.key': authority.exportKeyPem(),
    'client.crt': client.certPem,
    'client.key': client.keyPem,
  });
}

function readIdentity(directory: string, now: Date): { authority: Authority; client: TlsMaterial } {
  const file = (name: string): ReturnType<typeof readPem> => readPem(path.join(directory, name), FLAG);
  const ca = file('ca.crt');
  const authority = Authority.load(ca.pem, file('ca.key').pem, { now });
  const client = checkMaterial({
    role: 'client',
    cert: file('client.crt'),
    key: file('client.key'),
    anchors: ca,
    now,
  });
  return { authority, client };
}
