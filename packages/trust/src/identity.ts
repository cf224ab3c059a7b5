// SPDX-License-Identifier: Apache-2.0
// Who the adaptor is on a link and what user-data says about TLS, for each of the three modes. The files of automatic
// mode are made and read in identity-files.ts, those of manual mode are watched in live-material.ts.
import {
  describeCertificate,
  type Authority,
  type CertificateSummary,
  type KeyAlgorithm,
  type TlsMaterial,
} from '@peerpod-tls/certs';
import type { LinkSecurity } from '@peerpod-tls/link';
import { expiriesOf, expiryOf, type Expiry } from './expiries.js';
import type { LiveMaterial, ReloadTrouble } from './live-material.js';
import { MANUAL_SERVER_NAME, type LinkProfile } from './tls-mode.js';

/** The TLS part of user-data; empty fields are left out of it. Holds a private key in automatic mode. */
export interface UserDataTls {
  readonly tlsServerKey?: string;
  readonly tlsServerCert?: string;
  readonly tlsClientCa?: string;
  readonly tlsMinVersion?: string;
  readonly tlsCipherSuites?: readonly string[];
}

export interface IssuedUserData {
  readonly tls: UserDataTls;
  /** What may be told about the certificate in it; null when user-data carries none. */
  readonly leaf: CertificateSummary | null;
}

/** What is kept of a certificate to recognise it by. */
export interface LeafFacts {
  readonly subject: string;
  readonly fingerprint: string;
  readonly notAfter: string;
}

export interface Identity {
  readonly mode: 'automatic' | 'manual' | 'disabled';
  readonly security: LinkSecurity;
  /** The name a VM's certificate must carry; empty with TLS off. */
  serverName(instanceName: string): string;
  /** Makes what a new VM needs to be recognised and to recognise us. */
  issue(serverName: string): Promise<IssuedUserData>;
  expiries(): readonly Expiry[];
  /** Why the files do not say what is in force; null while they do. */
  trouble(): ReloadTrouble | null;
  /** Facts for the line 'identity ready'. */
  describe(): { readonly authority: LeafFacts | null; readonly client: LeafFacts | null };
}

export function leafFacts(summary: CertificateSummary): LeafFacts {
  return {
    subject: summary.subject,
    fingerprint: summary.fingerprint,
    notAfter: summary.notAfter,
  };
}

export function disabledIdentity(): Identity {
  return {
    mode: 'disabled',
    security: { t: 'plain' },
    serverName: () => '',
    issue: async () => ({ tls: {}, leaf: null }),
    expiries: () => [],
    trouble: () => null,
    describe: () => ({ authority: null, client: null }),
  };
}

/** The profile's words, for a VM that has to keep to the same floor. */
function profileOf(link: LinkProfile): UserDataTls {
  return {
    tlsMinVersion: link.minVersion,
    ...(link.cipherSuites.length === 0 ? {} : { tlsCipherSuites: link.cipherSuites }),
  };
}

export interface AutomaticParts {
  readonly authority: Authority;
  readonly client: TlsMaterial;
  readonly algorithm: KeyAlgorithm;
  readonly link: LinkProfile;
}

/** The adaptor signs every VM's certificate, and its own self-signed one is the VM's only client anchor. */
export function automaticIdentity({ authority, client, algorithm, link }: AutomaticParts): Identity {
  return {
    mode: 'automatic',
    security: { t: 'tls', material: () => client, profile: link.profile },
    serverName: instanceName => instanceName,
    issue: async serverName => {
      const issued = await authority.issue('server', { names: [serverName], algorithm });
      return {
        tls: {
          tlsServerKey: issued.keyPem,
          tlsServerCert: issued.certPem,
          tlsClientCa: client.chainPem,
          ...profileOf(link),
        },
        leaf: describeCertificate(issued.certificate),
      };
    },
    expiries: () => [...expiryOf('ca', authority.certificate), ...expiryOf('client', client.leaf)],
    trouble: () => null,
    describe: () => ({
      authority: leafFacts(describeCertificate(authority.certificate)),
      client: leafFacts(describeCertificate(client.leaf)),
    }),
  };
}

/** Users brought everything; a VM's image has its own pair, and user-data only carries the profile. */
export function manualIdentity(live: Pick<LiveMaterial, 'current' | 'trouble'>, link: LinkProfile): Identity {
  const material = (): TlsMaterial => live.current.material;
  return {
    mode: 'manual',
    security: { t: 'tls', material, profile: link.profile },
    serverName: () => MANUAL_SERVER_NAME,
    issue: async () => ({ tls: profileOf(link), leaf: null }),
    expiries: () => expiriesOf(material()),
    trouble: () => live.trouble,
    describe: () => ({ authority: null, client: leafFacts(describeCertificate(material().leaf)) }),
  };
}
