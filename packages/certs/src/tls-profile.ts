// SPDX-License-Identifier: Apache-2.0
// The TLS profile a person may ask for: lowest version, and the cipher suites of TLS 1.2 by their IANA names. Turns
// both into what node:tls wants, and refuses what would weaken a link or could never make one.
import { CertError } from './errors.js';

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

export interface TlsProfile {
  readonly minVersion: TlsVersion;
  /** OpenSSL's list for TLS 1.2; absent for its defaults. */
  readonly ciphers?: string;
}

export interface TlsProfileInput {
  /** `VersionTLS12` or `VersionTLS13`. Empty or absent: TLS 1.3, or TLS 1.2 where suites are given. */
  readonly minVersion?: string;
  /** IANA names, such as `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`. They apply to TLS 1.2 alone. */
  readonly cipherSuites?: readonly string[];
  /** The kind of key in the server's certificate, where it is known: suites must fit it. */
  readonly keyType?: 'ec' | 'rsa' | 'ed25519';
}

interface Suite {
  readonly openssl: string;
  /** What the server signs with; Ed25519 counts as ECDSA in TLS 1.2 (RFC 8422 section 5.10). */
  readonly signer: 'ecdsa' | 'rsa';
}

/** Forward secrecy and authenticated encryption: all that is left worth offering in TLS 1.2. */
const goodSuites: ReadonlyMap<string, Suite> = new Map([
  ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', { openssl: 'ECDHE-ECDSA-AES128-GCM-SHA256', signer: 'ecdsa' }],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', { openssl: 'ECDHE-ECDSA-AES256-GCM-SHA384', signer: 'ecdsa' }],
  [
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    { openssl: 'ECDHE-ECDSA-CHACHA20-POLY1305', signer: 'ecdsa' },
  ],
  ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', { openssl: 'ECDHE-RSA-AES128-GCM-SHA256', signer: 'rsa' }],
  ['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', { openssl: 'ECDHE-RSA-AES256-GCM-SHA384', signer: 'rsa' }],
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', { openssl: 'ECDHE-RSA-CHACHA20-POLY1305', signer: 'rsa' }],
]);

/** Names Go keeps from before the hash became part of the name. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305', 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256'],
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305', 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256'],
]);

/** Always on in TLS 1.3 and not selectable; lists written for other programs name them, so they are passed over. */
const tls13Suites: ReadonlySet<string> = new Set([
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
]);

/** Suites the upstream project accepts by name and we do not, with what is wrong with them. */
const weakSuites: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'it encrypts in CBC mode': [
      'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA',
      'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA',
      'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256',
      'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA',
      'TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA',
      'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256',
    ],
    'it has no forward secrecy': [
      'TLS_RSA_WITH_AES_128_CBC_SHA',
      'TLS_RSA_WITH_AES_256_CBC_SHA',
      'TLS_RSA_WITH_AES_128_CBC_SHA256',
      'TLS_RSA_WITH_AES_128_GCM_SHA256',
      'TLS_RSA_WITH_AES_256_GCM_SHA384',
    ],
    'it encrypts with RC4': [
      'TLS_RSA_WITH_RC4_128_SHA',
      'TLS_ECDHE_ECDSA_WITH_RC4_128_SHA',
      'TLS_ECDHE_RSA_WITH_RC4_128_SHA',
    ],
    'it encrypts with 3DES': ['TLS_RSA_WITH_3DES_EDE_CBC_SHA', 'TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA'],
  }).flatMap(([weakness, suites]) => suites.map(suite => [suite, weakness] as const)),
);

const versions: Readonly<Record<string, TlsVersion>> = { VersionTLS12: 'TLSv1.2', VersionTLS13: 'TLSv1.3' };

/**
 * The profile for what was asked, TLS 1.3 when nothing was. `flags` are the names to use in messages. Throws
 * ERR_CERT_TLS_VERSION for a version that is unknown or too old, and ERR_CERT_CIPHER_SUITES for suites that are
 * unknown, weak, of no use with TLS 1.3 or of no use with the server's key.
 */
export function parseTlsProfile(
  input: TlsProfileInput,
  flags: { readonly minVersion: string; readonly cipherSuites: string },
): TlsProfile {
  const asked = (input.minVersion ?? '').trim();
  const suites = (input.cipherSuites ?? []).map(name => name.trim()).filter(name => name !== '');
  // Suites can only mean TLS 1.2, so whoever names some without a version asks for 1.2.
  const minVersion =
    asked === '' ? (suites.length > 0 ? 'TLSv1.2' : 'TLSv1.3') : parseVersion(asked, flags.minVersion);
  if (suites.length === 0) return { minVersion };
  if (minVersion === 'TLSv1.3') {
    throw new CertError(
      'ERR_CERT_CIPHER_SUITES',
      `${flags.cipherSuites} cannot be used together with ${flags.minVersion} ${asked}: the suites of TLS 1.3 are fixed`,
      { hint: `leave out ${flags.cipherSuites}, or use ${flags.minVersion} VersionTLS12` },
    );
  }
  return { minVersion, ciphers: parseSuites(suites, input.keyType, flags) };
}

function parseVersion(asked: string, flag: string): TlsVersion {
  const version = Object.hasOwn(versions, asked) ? versions[asked] : undefined;
  if (version) return version;
  const old = asked === 'VersionTLS10' || asked === 'VersionTLS11';
  throw new CertError(
    'ERR_CERT_TLS_VERSION',
    old
      ? `${flag} is ${asked}; TLS 1.0 and 1.1 are not supported`
      : `invalid minVersion ${JSON.stringify(asked.slice(0, 80))} in ${flag}: unknown tls version`,
    { hint: 'use VersionTLS13, or VersionTLS12 for a peer that has nothing newer' },
  );
}

function parseSuites(
  names: readonly string[],
  keyType: TlsProfileInput['keyType'],
  flags: { readonly minVersion: string; readonly cipherSuites: string },
): string {
  const chosen: Suite[] = [];
  const use = `use some of ${[...goodSuites.keys()].join(', ')}`;
  for (const given of names) {
    if (tls13Suites.has(given)) continue;
    const suite = goodSuites.get(aliases.get(given) ?? given);
    if (suite) {
      chosen.push(suite);
      continue;
    }
    const weakness = weakSuites.get(given);
    const shown = given.length > 80 ? `${given.slice(0, 80)}…` : given;
    throw new CertError(
      'ERR_CERT_CIPHER_SUITES',
      weakness
        ? `invalid cipherSuites in ${flags.cipherSuites}: ${shown} is not offered here, ${weakness}`
        : `invalid cipherSuites in ${flags.cipherSuites}: ${JSON.stringify(shown)} is unknown`,
      { hint: use },
    );
  }
  if (chosen.length === 0) {
    throw new CertError(
      'ERR_CERT_CIPHER_SUITES',
      `invalid cipherSuites in ${flags.cipherSuites}: it names suites of TLS 1.3 alone, which leaves none for TLS 1.2`,
      { hint: `leave it out and use ${flags.minVersion} VersionTLS13, or ${use}` },
    );
  }
  const signer = keyType === 'rsa' ? 'rsa' : 'ecdsa';
  if (keyType && !chosen.some(suite => suite.signer === signer)) {
    const fitting = [...goodSuites].filter(([, suite]) => suite.signer === signer).map(([name]) => name);
    throw new CertError(
      'ERR_CERT_CIPHER_SUITES',
      `${flags.cipherSuites} names no suite for the server's key, which is ${keyType}: no TLS 1.2 connection could be made`,
      { hint: `add some of ${fitting.join(', ')}` },
    );
  }
  return [...new Set(chosen.map(suite => suite.openssl))].join(':');
}
