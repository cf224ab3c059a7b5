// SPDX-License-Identifier: Apache-2.0
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import t from 'tap';
import { Authority } from '../../src/index.js';
import { CertError } from '../../src/errors.js';
import { pemBlock } from '../../src/encoding/pem.js';
import { INPUT, noOpenssl, openssl, strictVerify } from '../support.js';

const request = (args: readonly string[], key: string): string =>
  openssl(['req', '-new', '-key', INPUT, '-subj', '/O=asked/CN=for', ...args], { input: key });
const derOf = (pem: string): Buffer => Buffer.from(pem.replace(/-----.*-----/g, ''), 'base64');
const generate = (...args: string[]): string => openssl(['genpkey', ...args]);
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p256Pem = p256.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const ca = await Authority.create();

t.test(
  'a request of openssl becomes a leaf for its key and for nothing else of it',
  { skip: noOpenssl },
  async t => {
    const keys = [
      p256Pem,
      generate('-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'),
      generate('-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'),
      generate('-algorithm', 'ed25519'),
      generate('-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'),
    ];
    for (const key of keys) {
      const csr = request(['-addext', 'subjectAltName=DNS:evil', '-addext', 'basicConstraints=CA:TRUE'], key);
      const pem = ca.signCsr(csr, 'server', { names: ['vm'] });
      const leaf = new X509Certificate(pem);
      t.equal(
        leaf.publicKey.export({ type: 'spki', format: 'pem' }),
        openssl(['pkey', '-pubout'], { input: key }),
      );
      t.equal(leaf.subject, 'O=agent-protocol-forwarder\nCN=vm');
      t.equal(leaf.subjectAltName, 'DNS:vm');
      t.equal(leaf.ca, false);
      t.match(strictVerify(t.testdir(), 'sslserver', ca.certPem, pem), /OK/);
    }
    t.match(ca.signCsr(request([], p256Pem).replaceAll('\n', '\r\n'), 'client'), /BEGIN CERTIFICATE/);
    t.throws(() => ca.signCsr(request([], p256Pem), 'server'), { code: 'ERR_CERT_NAME_INVALID' });
  },
);

t.test('requests with keys or signatures that are not allowed are refused', { skip: noOpenssl }, async t => {
  const cases: [string, string][] = [
    ['RSA 1024', request([], generate('-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'))],
    [
      'exponent 3',
      request(
        [],
        generate('-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-pkeyopt', 'rsa_keygen_pubexp:3'),
      ),
    ],
    ['secp256k1', request([], generate('-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'))],
    [
      'explicit curve',
      request(
        [],
        generate(
          '-algorithm',
          'EC',
          '-pkeyopt',
          'ec_paramgen_curve:P-256',
          '-pkeyopt',
          'ec_param_enc:explicit',
        ),
      ),
    ],
    ['ed448', request([], generate('-algorithm', 'ed448'))],
    ['SHA-1', request(['-sha1'], p256Pem)],
    [
      'PSS',
      request(
        ['-sigopt', 'rsa_padding_mode:pss'],
        generate('-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'),
      ),
    ],
    ['a certificate', ca.certPem],
    ['nothing', ''],
    ['two', request([], p256Pem).repeat(2)],
    ['cut', request([], p256Pem).slice(0, 200)],
    ['huge', pemBlock('CERTIFICATE REQUEST', Buffer.alloc(20_000, 0x30))],
    ['enormous', 'x'.repeat(1_000_000)],
    ['nested', pemBlock('CERTIFICATE REQUEST', nested(4000))],
  ];
  for (const [name, csr] of cases) {
    t.throws(() => ca.signCsr(csr, 'client'), { code: 'ERR_CERT_CSR_REFUSED' }, name);
  }
});

/** Sequences in one another, `depth` deep. */
function nested(depth: number): Buffer {
  let der = Buffer.alloc(0);
  for (let i = 0; i < depth; i += 1) {
    const n = der.length;
    const head = n < 128 ? [0x30, n] : n < 256 ? [0x30, 0x81, n] : [0x30, 0x82, n >> 8, n & 255];
    der = Buffer.concat([Buffer.from(head), der]);
  }
  return der;
}

t.test(
  'every request that differs in one byte is refused, and with nothing but a CertError',
  { skip: noOpenssl },
  async t => {
    const der = derOf(request([], p256Pem));
    let tried = 0;
    const wrong: string[] = [];
    for (let at = 0; at < der.length; at += 1) {
      // All bits one by one, all bits together, and the values parsers take for special.
      const values = new Set([
        0,
        0x7f,
        0x80,
        0xff,
        ...[0, 1, 2, 3, 4, 5, 6, 7].map(bit => (der[at] ?? 0) ^ (1 << bit)),
      ]);
      values.delete(der[at] ?? -1);
      for (const value of values) {
        const mutant = Buffer.from(der);
        mutant[at] = value;
        tried += 1;
        try {
          ca.signCsr(pemBlock('CERTIFICATE REQUEST', mutant), 'client');
          wrong.push(`accepted: byte ${at} = ${value}`);
        } catch (error) {
          if (!(error instanceof CertError)) wrong.push(`byte ${at} = ${value}: ${String(error)}`);
        }
      }
      // And cut off there.
      try {
        ca.signCsr(pemBlock('CERTIFICATE REQUEST', der.subarray(0, at)), 'client');
        wrong.push(`accepted: ${at} bytes`);
      } catch (error) {
        if (!(error instanceof CertError)) wrong.push(`${at} bytes: ${String(error)}`);
      }
    }
    t.strictSame(wrong, []);
    t.ok(tried > 2000, `${tried} mutants`);
  },
);
