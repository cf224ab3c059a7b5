// SPDX-License-Identifier: Apache-2.0
import tls from 'node:tls';
import t from 'tap';
import { Authority, parseTlsProfile, type TlsProfileInput } from '../src/index.js';
import { handshake } from './support.js';

const flags = { minVersion: '-tls-min-version', cipherSuites: '-tls-cipher-suites' };
const parse = (input: TlsProfileInput) => parseTlsProfile(input, flags);
const good = ['AES_128_GCM_SHA256', 'AES_256_GCM_SHA384', 'CHACHA20_POLY1305_SHA256'];

t.test('what is asked for becomes what node:tls wants', async t => {
  t.strictSame(parse({}), { minVersion: 'TLSv1.3' });
  t.strictSame(parse({ minVersion: ' ', cipherSuites: ['', ' '] }), { minVersion: 'TLSv1.3' });
  t.strictSame(parse({ minVersion: ' VersionTLS12 ' }), { minVersion: 'TLSv1.2' });
  t.strictSame(parse({ minVersion: 'VersionTLS13' }), { minVersion: 'TLSv1.3' });
  t.strictSame(parse({ cipherSuites: ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'] }), {
    minVersion: 'TLSv1.2',
    ciphers: 'ECDHE-RSA-AES128-GCM-SHA256',
  });
  t.strictSame(
    parse({
      minVersion: 'VersionTLS12',
      keyType: 'ec',
      cipherSuites: [
        'TLS_AES_128_GCM_SHA256',
        'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305',
        ' TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 ',
        'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
      ],
    }).ciphers,
    'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384',
  );
});

t.test('every suite offered is one OpenSSL has', async t => {
  for (const signer of ['ECDSA', 'RSA']) {
    for (const rest of good) {
      const { ciphers = '' } = parse({ cipherSuites: [`TLS_ECDHE_${signer}_WITH_${rest}`] });
      t.ok(tls.getCiphers().includes(ciphers.toLowerCase()), ciphers);
      t.doesNotThrow(() => tls.createSecureContext({ ciphers }));
    }
  }
});

t.test('versions that are too old or unknown are refused', async t => {
  for (const minVersion of ['VersionTLS10', 'VersionTLS11']) {
    t.throws(() => parse({ minVersion }), {
      code: 'ERR_CERT_TLS_VERSION',
      message: /1\.0 and 1\.1 are not supported/,
    });
  }
  for (const minVersion of ['TLS12', 'versiontls13', '1.3', 'constructor', 'x'.repeat(1000)]) {
    t.throws(() => parse({ minVersion }), {
      code: 'ERR_CERT_TLS_VERSION',
      message: /invalid minVersion .* in -tls-min-version: unknown tls version/,
      hint: /VersionTLS13/,
    });
  }
});

t.test('weak, unknown and useless suites are refused, naming good ones', async t => {
  const weak = [
    ...['ECDSA', 'RSA'].flatMap(s =>
      ['AES_128_CBC_SHA', 'AES_256_CBC_SHA', 'AES_128_CBC_SHA256', 'RC4_128_SHA'].map(
        c => `TLS_ECDHE_${s}_WITH_${c}`,
      ),
    ),
    ...[
      'AES_128_CBC_SHA',
      'AES_256_CBC_SHA',
      'AES_128_CBC_SHA256',
      'AES_128_GCM_SHA256',
      'AES_256_GCM_SHA384',
      'RC4_128_SHA',
      '3DES_EDE_CBC_SHA',
    ].map(c => `TLS_RSA_WITH_${c}`),
    'TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA',
  ];
  for (const suite of weak) {
    t.throws(() => parse({ cipherSuites: ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', suite] }), {
      code: 'ERR_CERT_CIPHER_SUITES',
      message: `invalid cipherSuites in -tls-cipher-suites: ${suite} is not offered here`,
      hint: /TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256/,
    });
  }
  for (const suite of [
    'x',
    'tls_ecdhe_ecdsa_with_aes_128_gcm_sha256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ALL:@SECLEVEL=0',
  ]) {
    t.throws(() => parse({ cipherSuites: [suite] }), {
      code: 'ERR_CERT_CIPHER_SUITES',
      message: /is unknown/,
    });
  }
  t.throws(() => parse({ minVersion: 'VersionTLS13', cipherSuites: ['TLS_AES_128_GCM_SHA256'] }), {
    code: 'ERR_CERT_CIPHER_SUITES',
    hint: /leave out -tls-cipher-suites/,
  });
  t.throws(() => parse({ minVersion: 'VersionTLS12', cipherSuites: ['TLS_AES_128_GCM_SHA256'] }), {
    code: 'ERR_CERT_CIPHER_SUITES',
    message: /leaves none for TLS 1\.2/,
  });
  const rsaOnly = ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'];
  for (const keyType of ['ec', 'ed25519'] as const) {
    t.throws(() => parse({ cipherSuites: rsaOnly, keyType }), {
      code: 'ERR_CERT_CIPHER_SUITES',
      hint: /ECDSA/,
    });
  }
  t.ok(parse({ cipherSuites: rsaOnly, keyType: 'rsa' }));
  t.throws(() => parse({ cipherSuites: ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'], keyType: 'rsa' }), {
    code: 'ERR_CERT_CIPHER_SUITES',
    hint: /_RSA_/,
  });
});

t.test('each suite shakes hands over TLS 1.2 with a certificate it fits', async t => {
  const ca = await Authority.create();
  const client = await ca.issue('client');
  for (const [signer, algorithms] of [
    ['ECDSA', ['ecdsa-p256', 'ed25519']],
    ['RSA', ['rsa-2048']],
  ] as const) {
    for (const algorithm of algorithms) {
      const server = await ca.issue('server', { names: ['vm'], algorithm });
      for (const rest of good) {
        const profile = parse({ cipherSuites: [`TLS_ECDHE_${signer}_WITH_${rest}`] });
        const end = (leaf: typeof client) => ({ cert: leaf.certPem, key: leaf.keyPem, ca: ca.certPem });
        t.equal(
          await handshake(end(server), end(client), 'vm', { ...profile, maxVersion: 'TLSv1.2' }),
          'TLSv1.2',
        );
      }
    }
  }
});
