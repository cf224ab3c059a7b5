// SPDX-License-Identifier: Apache-2.0
// The three files that make an adaptor a client in manual mode.
import { checkMaterial, readPem } from '@peerpod-tls/certs';
import type { InForce, MaterialSource } from './live-material.js';
import type { LinkProfile } from './tls-mode.js';

export interface ClientFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export function clientFiles(
  { caFile, certFile, keyFile }: ClientFiles,
  { profile }: LinkProfile,
): MaterialSource<InForce> {
  return {
    files: [caFile, certFile, keyFile],
    read() {
      const material = checkMaterial({
        role: 'client',
        cert: readPem(certFile, '-cert-file'),
        key: readPem(keyFile, '-cert-key'),
        anchors: readPem(caFile, '-ca-cert-file'),
      });
      return {
        material,
        profile,
        origin: `the certificate in ${certFile} (-cert-file)`,
        notes: flawsOf(material.warnings),
      };
    },
  };
}

/** What is wrong with material that may be used, as notes. */
export function flawsOf(warnings: readonly string[]): InForce['notes'] {
  return warnings.map(warning => ({ text: 'certificates have a flaw', fields: { warning } }));
}
