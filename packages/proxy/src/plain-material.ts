// SPDX-License-Identifier: Apache-2.0
// TLS material as plain data, for who dials in another thread or process. Holds a private key: it goes into a message or
// a secret file, and nowhere else.
import { checkMaterial, type Origin, type TlsMaterial, type TlsRole } from '@peerpod-tls/certs';

export interface PlainMaterial {
  readonly role: TlsRole;
  readonly origin: Origin;
  readonly chainPem: string;
  readonly keyPem: string;
  readonly anchorsPem: readonly string[];
  /** When it was first seen in force, in ms of the clock: what passed its check then passes it again later. */
  readonly seenAt: number;
}

export function plainMaterial(material: TlsMaterial, seenAt: number): PlainMaterial {
  const { role, origin, chainPem, keyPem, anchorsPem } = material;
  return { role, origin, chainPem, keyPem, anchorsPem, seenAt };
}

/** @throws CertError as `checkMaterial` does */
export function checkedMaterial(plain: PlainMaterial): TlsMaterial {
  const { role, origin, chainPem, keyPem, anchorsPem, seenAt } = plain;
  return checkMaterial({
    role,
    cert: { ...origin, pem: chainPem },
    key: { ...origin, pem: keyPem },
    anchors: { ...origin, pem: anchorsPem.join('') },
    now: new Date(seenAt),
  });
}
