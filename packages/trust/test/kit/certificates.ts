// SPDX-License-Identifier: Apache-2.0
// Certificates a user would bring, made at run time, and every way in which they can be wrong.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Authority, checkMaterial, type TlsMaterial } from '@peerpod-tls/certs';

export interface ManualFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;

/** A CA, the client's three files in `directory`, and the pair of a VM image that belongs to them. */
export async function manualSet(
  directory: string,
  o: { readonly now?: Date; readonly lifetimeDays?: number } = {},
): Promise<{
  readonly files: ManualFiles;
  readonly image: TlsMaterial;
  readonly authority: Authority;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}> {
  const authority = await Authority.create({ subject: { CN: 'podvm_root_ca' } });
  const client = await authority.issue('client', { subject: { CN: 'podvm_client' }, ...o });
  const files = writeManual(directory, authority.certPem, client.certPem, client.keyPem);
  return {
    files,
    image: await imageOf(authority),
    authority,
    ca: authority.certPem,
    cert: client.certPem,
    key: client.keyPem,
  };
}

export function writeManual(directory: string, ca: string, cert: string, key: string): ManualFiles {
  const files = {
    ca: path.join(directory, 'ca.crt'),
    cert: path.join(directory, 'client.crt'),
    key: path.join(directory, 'client.key'),
  };
  writeFileSync(files.ca, ca);
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key, { mode: 0o600 });
  return files;
}

/** Server material of a VM, for any name. */
export async function imageOf(
  authority: Authority,
  name = 'podvm-server',
  anchorPem = authority.certPem,
): Promise<TlsMaterial> {
  const server = await authority.issue('server', { names: [name] });
  return checkMaterial({
    role: 'server',
    cert: { pem: server.certPem, file: 'tls.crt', flag: 'image' },
    key: { pem: server.keyPem, file: 'tls.key', flag: 'image' },
    anchors: { pem: anchorPem, file: 'ca.crt', flag: 'image' },
  });
}

export const flagsOf = (files: ManualFiles): string[] => [
  `-ca-cert-file=${files.ca}`,
  `-cert-file=${files.cert}`,
  `-cert-key=${files.key}`,
];

export const yesterday = (): Date => new Date(Date.now() - 2 * DAY_MS);
export const tomorrow = (): Date => new Date(Date.now() + 2 * DAY_MS);

/** The same certificate with a notAfter that names a sixtieth second, which JavaScript's Date cannot read. */
export function withOddDate(pem: string): string {
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  // Two UTCTimes of 13 octets stand behind each other: tag, length, digits, Z. The second is notAfter.
  const tag = Buffer.from([0x17, 0x0d]);
  const notAfter = der.indexOf(tag, der.indexOf(tag) + 15);
  if (der.readUInt8(notAfter + 14) !== 0x5a) throw new Error('no two UTCTimes in the certificate');
  der.write('60', notAfter + 12, 'latin1');
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
