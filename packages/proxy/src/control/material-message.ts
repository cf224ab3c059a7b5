// SPDX-License-Identifier: Apache-2.0
// What links are dialled with, as a message and back. The message holds the private key.
import { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import type { TlsProfile } from '@peerpod-tls/certs';
import type { LinkSecurity } from '@peerpod-tls/link';
import { checkedMaterial, plainMaterial } from '../plain-material.js';
import { badMessage } from './api.js';

type Material = peerpod.proxy.v1.Material;

/** What a proxy holds: security by the name that specs call it. */
export interface NamedSecurity {
  readonly name: string;
  readonly security: LinkSecurity;
}

/** @param seenAt when the material in force was first seen, in ms of the clock */
export function materialMessage({ name, security }: NamedSecurity, seenAt: number): Material {
  if (security.t === 'plain') return new peerpod.proxy.v1.Material({ name });
  const { chainPem, keyPem, anchorsPem, origin } = plainMaterial(security.material(), seenAt);
  const { minVersion, ciphers = '' } = security.profile;
  return new peerpod.proxy.v1.Material({
    name,
    tls: {
      chainPem,
      keyPem,
      anchorsPem: [...anchorsPem],
      minVersion,
      ciphers,
      file: origin.file,
      flag: origin.flag,
      checkedAt: new Date(seenAt).toISOString(),
    },
  });
}

/**
 * @throws ControlError `ERR_PROXY_MESSAGE`
 * @throws CertError as `checkMaterial` does
 */
export function securityOf(message: peerpod.proxy.v1.Material.$Properties | null | undefined): NamedSecurity {
  const name = message?.name ?? '';
  const tls = message?.tls;
  if (name === '') throw badMessage('names no material');
  if (tls === null || tls === undefined) return { name, security: { t: 'plain' } };
  const { minVersion } = tls;
  const ciphers = tls.ciphers ?? '';
  if (minVersion !== 'TLSv1.2' && minVersion !== 'TLSv1.3')
    throw badMessage(
      `asks for ${JSON.stringify(String(minVersion).slice(0, 40))} as the lowest version of TLS`,
    );
  const seenAt = Date.parse(tls.checkedAt ?? '');
  if (Number.isNaN(seenAt)) throw badMessage('does not say when its material was checked');
  const material = checkedMaterial({
    role: 'client',
    origin: { file: tls.file ?? '', flag: tls.flag ?? '' },
    chainPem: tls.chainPem ?? '',
    keyPem: tls.keyPem ?? '',
    anchorsPem: tls.anchorsPem ?? [],
    seenAt,
  });
  const profile: TlsProfile = { minVersion, ...(ciphers === '' ? {} : { ciphers }) };
  return { name, security: { t: 'tls', material: () => material, profile } };
}
