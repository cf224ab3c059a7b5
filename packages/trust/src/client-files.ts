// SPDX-License-Identifier: Apache-2.0
// The three files that make an adaptor a client in manual mode.
import { checkMaterial, readPem, verifyPeer, type TlsMaterial } from '@peerpod-tls/certs';
import type { InForce, MaterialSource } from './in-force.js';
import { MANUAL_SERVER_NAME, type LinkProfile } from './tls-mode.js';

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
        notes: [...flawsOf(material.warnings), ...ownLeafAsServer(certFile, material)],
      };
    },
  };
}

/** Warned of at every start: then whoever has the adaptor's key can stand in for a pod VM. */
function ownLeafAsServer(file: string, { leaf, chain, anchors }: TlsMaterial): InForce['notes'] {
  const seen = verifyPeer({ leaf, chain, anchors, role: 'server', name: MANUAL_SERVER_NAME });
  if (seen.t === 'refused') return [];
  return [
    {
      text: 'own certificate would pass as that of a pod VM: whoever has its key can stand in for one',
      fields: {
        file,
        flag: '-cert-file',
        hint: `have it issued with extendedKeyUsage clientAuth and without the name ${MANUAL_SERVER_NAME}`,
      },
    },
  ];
}

/** What is wrong with material that may be used, as notes. */
export function flawsOf(warnings: readonly string[]): InForce['notes'] {
  return warnings.map(warning => ({ text: 'certificates have a flaw', fields: { warning } }));
}
