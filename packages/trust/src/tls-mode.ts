// SPDX-License-Identifier: Apache-2.0
// Which of the three TLS modes a set of options means. A pure decision: no file is opened here, and every mixed or
// half-given combination is refused, because each of them would end in a link that nobody checks or nobody can open.
import { parseTlsProfile, type KeyAlgorithm, type TlsProfile } from '@peerpod-tls/certs';
import { TrustError } from './errors.js';

/** The name a server certificate must carry when users bring their own (upstream's constant). */
export const MANUAL_SERVER_NAME = 'podvm-server';

/** The profile that both ends of a link keep to: ours as checked, and the words of it that go into user-data. */
export interface LinkProfile {
  readonly profile: TlsProfile;
  readonly minVersion: string;
  readonly cipherSuites: readonly string[];
}

export type TlsMode =
  | { readonly t: 'automatic'; readonly algorithm: KeyAlgorithm; readonly link: LinkProfile }
  | {
      readonly t: 'manual';
      readonly caFile: string;
      readonly certFile: string;
      readonly keyFile: string;
      readonly link: LinkProfile;
    }
  | { readonly t: 'disabled' };

/** The options that decide, empty text or list when not given. */
export interface TlsOptions {
  readonly caCertFile: string;
  readonly certFile: string;
  readonly certKey: string;
  readonly disableTls: boolean;
  readonly tlsSkipVerify: boolean;
  readonly tlsMinVersion: string;
  readonly tlsCipherSuites: readonly string[];
  readonly keyAlgorithm: KeyAlgorithm;
}

const DEFAULT_KEY_ALGORITHM: KeyAlgorithm = 'ecdsa-p256';

/** Decides the mode; throws `ERR_TRUST_OPTIONS`, or the profile's own error, naming what to add or leave out. */
export function chooseTlsMode(o: TlsOptions): TlsMode {
  if (o.tlsSkipVerify) refuseSkipVerify();
  if (o.disableTls) return chooseDisabled(o);
  const given = [o.caCertFile, o.certFile, o.certKey].filter(file => file !== '').length;
  if (given === 0) {
    return { t: 'automatic', algorithm: o.keyAlgorithm, link: linkProfile(o, keyType(o.keyAlgorithm)) };
  }
  if (given < 3) refuseHalf(o);
  if (o.keyAlgorithm !== DEFAULT_KEY_ALGORITHM) {
    refuse(
      '-key-algorithm is for keys the adaptor makes, and with -ca-cert-file, -cert-file and -cert-key it makes none',
      'leave -key-algorithm out',
    );
  }
  return {
    t: 'manual',
    caFile: o.caCertFile,
    certFile: o.certFile,
    keyFile: o.certKey,
    link: linkProfile(o, undefined),
  };
}

function refuse(message: string, hint: string): never {
  throw new TrustError('ERR_TRUST_OPTIONS', message, { hint });
}

function refuseSkipVerify(): never {
  refuse(
    "-tls-skip-verify (TLS_SKIP_VERIFY) would hand pods to whoever answers at a VM's address, and is refused",
    'leave it out: without certificate options the adaptor makes and checks its own certificates; for certificates of your own give -ca-cert-file, -cert-file and -cert-key',
  );
}

function chooseDisabled(o: TlsOptions): TlsMode {
  const beside = [
    o.caCertFile === '' ? [] : ['-ca-cert-file (CACERT_FILE)'],
    o.certFile === '' ? [] : ['-cert-file (CERT_FILE)'],
    o.certKey === '' ? [] : ['-cert-key (CERT_KEY)'],
    o.tlsMinVersion.trim() === '' ? [] : ['-tls-min-version (TLS_MIN_VERSION)'],
    o.tlsCipherSuites.some(suite => suite.trim() !== '') ? ['-tls-cipher-suites (TLS_CIPHER_SUITES)'] : [],
    o.keyAlgorithm === DEFAULT_KEY_ALGORITHM ? [] : ['-key-algorithm'],
  ].flat();
  if (beside.length > 0) {
    refuse(
      `-disable-tls turns TLS off, and ${beside.join(', ')} ask${beside.length === 1 ? 's' : ''} for TLS`,
      `leave out -disable-tls, or leave out ${beside.join(', ')}`,
    );
  }
  return { t: 'disabled' };
}

function refuseHalf(o: TlsOptions): never {
  const files: readonly (readonly [name: string, file: string])[] = [
    ['-ca-cert-file (CACERT_FILE)', o.caCertFile],
    ['-cert-file (CERT_FILE)', o.certFile],
    ['-cert-key (CERT_KEY)', o.certKey],
  ];
  const given = files.filter(([, file]) => file !== '').map(([name]) => name);
  const missing = files.filter(([, file]) => file === '').map(([name]) => name);
  refuse(
    `${given.join(' and ')} without ${missing.join(' and ')}: ${whyHalf(o)}`,
    `add ${missing.join(' and ')} for certificates of your own, or leave out ${given.join(' and ')} so that the adaptor makes them all`,
  );
}

/** What the combination would have meant, in the words of the person who has to repair it. */
function whyHalf(o: TlsOptions): string {
  if (o.certFile === '' && o.certKey === '')
    return 'no pod VM would know the client certificate the adaptor made for itself';
  if (o.certFile === '') return 'a key without its certificate cannot be presented';
  if (o.certKey === '') return 'a certificate without its key cannot be presented';
  return 'nothing says which certificates of pod VMs are to be trusted';
}

function keyType(algorithm: KeyAlgorithm): 'ec' | 'rsa' | 'ed25519' {
  if (algorithm.startsWith('rsa')) return 'rsa';
  return algorithm === 'ed25519' ? 'ed25519' : 'ec';
}

function linkProfile(o: TlsOptions, type: 'ec' | 'rsa' | 'ed25519' | undefined): LinkProfile {
  const minVersion = o.tlsMinVersion.trim();
  const cipherSuites = o.tlsCipherSuites.map(suite => suite.trim()).filter(suite => suite !== '');
  const profile = parseTlsProfile(
    {
      ...(minVersion === '' ? {} : { minVersion }),
      ...(cipherSuites.length === 0 ? {} : { cipherSuites }),
      ...(type === undefined ? {} : { keyType: type }),
    },
    { minVersion: '-tls-min-version', cipherSuites: '-tls-cipher-suites' },
  );
  // User-data always says the floor, so that a VM whose own default is lower keeps to the same one.
  return {
    profile,
    minVersion: profile.minVersion === 'TLSv1.3' ? 'VersionTLS13' : 'VersionTLS12',
    cipherSuites,
  };
}

/** What a person must be told before anything starts, one warning a line; empty for a safe default start. */
export function tlsWarnings(mode: TlsMode, o: TlsOptions): readonly string[] {
  switch (mode.t) {
    case 'disabled':
      return [
        '--disable-tls: the links to pod VMs are NOT encrypted and NOBODY is authenticated; anyone on the network can drive every pod. For testing only.',
      ];
    case 'automatic':
    case 'manual': {
      const asked = [
        o.tlsMinVersion.trim() === '' ? [] : [`minimum version ${mode.link.minVersion}`],
        mode.link.cipherSuites.length === 0 ? [] : [`cipher suites ${mode.link.cipherSuites.join(',')}`],
      ].flat();
      if (asked.length === 0) return [];
      return [
        `TLS profile (${asked.join(', ')}) is written into a VM when it is created; existing pods keep theirs until they are recreated.`,
      ];
    }
  }
}
