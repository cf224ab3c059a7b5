// SPDX-License-Identifier: Apache-2.0
// When the certificates a daemon works with end. Who tells of it, and when, is expiry-watch.ts's.
import type { X509Certificate } from 'node:crypto';
import { datesToShow, describeCertificate, type TlsMaterial } from '@peerpod-tls/certs';

/** One certificate whose end is near or not: for metrics and warnings. */
export interface Expiry {
  readonly kind: 'ca' | 'client' | 'server' | 'bundle';
  readonly subject: string;
  readonly notAfter: Date;
}

/** None for a certificate whose dates nobody can read: an exception in a timer would end the process days later. */
export function expiryOf(kind: Expiry['kind'], certificate: X509Certificate): Expiry[] {
  const dates = datesToShow(certificate);
  if (dates === null) return [];
  return [{ kind, subject: describeCertificate(certificate).subject, notAfter: dates.notAfter }];
}

/** Our own certificate, which ends with the first of the way in use, and each anchor. */
export function expiriesOf({ role, leaf, anchors, expiresAt }: TlsMaterial): Expiry[] {
  return [
    { kind: role, subject: describeCertificate(leaf).subject, notAfter: expiresAt },
    ...anchors.flatMap(anchor => expiryOf('bundle', anchor)),
  ];
}
