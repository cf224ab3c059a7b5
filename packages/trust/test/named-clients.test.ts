// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { Authority, selfSignedClient } from '@peerpod-tls/certs';
import t from 'tap';
import { noOpenssl, openssl } from '../../certs/test/support.js';
import { namedClients, unnamedClient } from '../src/named-clients.js';

t.test(
  'a client is named by a name, its CN, an attribute of its subject or its digest, and by nothing inside of them',
  async t => {
    const authority = await Authority.create();
    const leaf = (names: string[], CN: string, O = 'Self') =>
      authority.issue('client', { names, subject: { O, CN } }).then(({ certificate }) => certificate);
    const client = await leaf(['adaptor-1.example', '10.0.0.1'], 'podvm_client');
    const { fingerprint256 } = client;
    const passes = (certificate: typeof client, names: string[], digests: string[] = []): boolean => {
      const named = namedClients(names, digests);
      if (named === null) throw new Error('nothing is named');
      return unnamedClient(certificate, named) === null;
    };
    for (const name of [
      'adaptor-1.example',
      'ADAPTOR-1.example',
      '10.0.0.1',
      'podvm_client',
      'CN=podvm_client',
      'O=Self',
      ' podvm_client ',
    ])
      t.ok(passes(client, ['other', name]), name);
    for (const name of [
      'adaptor-1',
      'example',
      'podvm',
      'PODVM_CLIENT',
      'Self',
      'O=',
      'CN=',
      'O=Self, CN=podvm_client',
      '*',
      '10.0.0.10',
    ])
      t.notOk(passes(client, [name]), name);
    for (const digest of [
      fingerprint256,
      fingerprint256.toLowerCase(),
      `sha256:${fingerprint256}`,
      fingerprint256.replaceAll(':', ''),
    ])
      t.ok(passes(client, [], [digest]), digest);
    t.ok(passes(client, ['podvm_client'], ['0'.repeat(64)]), 'they add up');

    for (const value of ['x, CN=podvm_client', 'x/CN=podvm_client', 'x + CN=podvm_client'])
      t.notOk(passes(await leaf([], value), ['podvm_client']), JSON.stringify(value));
    t.notOk(
      passes(await leaf([], 'x', 'CN=podvm_client'), ['podvm_client']),
      'another attribute with that text',
    );

    const upstreams = (await selfSignedClient()).certificate;
    t.ok(passes(upstreams, ['O=cloud-api-adaptor']));
    const named = namedClients(['x'], []);
    t.match(
      named && unnamedClient(upstreams, named),
      /O=cloud-api-adaptor .*is none of those named by -client-names/,
    );
  },
);

t.test('a line end in a name makes no second name of it', { skip: noOpenssl }, async t => {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '/dev/null'];
  const pem = openssl(['req', '-x509', ...key, '-subj', '/CN=x\nCN=podvm_client']);
  const odd = new X509Certificate(pem);
  t.match(odd.subject, /^CN=x.*CN=podvm_client$/s);
  t.not(unnamedClient(odd, { names: ['podvm_client'], fingerprints: [] }), null);
});

t.test('what names nobody lets in everybody, and what is no digest is refused', async t => {
  t.equal(namedClients([], []), null);
  t.equal(namedClients([' ', ''], ['']), null);
  for (const bad of ['x', 'abcd', 'g'.repeat(64), '0'.repeat(63)]) {
    t.throws(() => namedClients([], [bad]), {
      code: 'ERR_TRUST_OPTIONS',
      message: /^-client-fingerprints has/,
      hint: /openssl x509 -noout -fingerprint -sha256/,
    });
  }
});
