// SPDX-License-Identifier: Apache-2.0
// Manual TLS in an image: the three files are verified by the rules the forwarder applies at its start, so that a pair
// that does not fit stops the build and not a boot.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from './options.mjs';

const NAMES = ['tls.crt', 'tls.key', 'ca.crt'];

/** The name every pod VM with a certificate of its image answers to. */
const SERVER_NAME = 'podvm-server';

/**
 * @param {string} directory
 * @returns the facts for the manifest, or null when there are no certificates
 */
export async function checkCertificates(directory) {
  const missing = NAMES.filter(name => !existsSync(join(directory, name)));
  if (missing.length === NAMES.length) return null;
  if (missing.length > 0)
    throw new BuildError(
      `manual TLS takes all of ${NAMES.join(', ')}; ${directory} has no ${missing.join(' and no ')}`,
    );
  const { checkMaterial, describeMaterial, readPem } = await import('@peerpod-tls/certs');
  const source = name => readPem(join(directory, name), `etc/certificates/${name}`);
  try {
    const material = checkMaterial({
      role: 'server',
      cert: source('tls.crt'),
      key: source('tls.key'),
      anchors: source('ca.crt'),
    });
    if (!material.leaf.checkHost(SERVER_NAME)) {
      throw new BuildError(
        `etc/certificates/tls.crt is not for ${SERVER_NAME} but for ${material.leaf.subjectAltName ?? 'no name at all'}; an adaptor with certificates of its own asks for that name`,
      );
    }
    return describeMaterial(material);
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const hint = typeof error.hint === 'string' ? `\n  ${error.hint}` : '';
    throw new BuildError(`the certificates for manual TLS do not fit: ${error.message}${hint}`);
  }
}
