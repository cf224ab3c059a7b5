// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import * as certs from '../src/index.js';

t.test('the public names are these', async t => {
  t.strictSame(Object.keys(certs).sort(), [
    'Authority',
    'REFUSAL_RULES',
    'anchorsForServer',
    'certificatesIn',
    'checkCertificates',
    'checkMaterial',
    'datesToShow',
    'describeCertificate',
    'describeMaterial',
    'fingerprintOf',
    'holdsPrivateKey',
    'makeRefusal',
    'opensslRefusal',
    'parseTlsProfile',
    'readAnchors',
    'readPem',
    'selfSignedClient',
    'verifyPeer',
  ]);
});

t.test('node-forge is used in one file, and no file opens a socket', async t => {
  const src = new URL('../src/', import.meta.url);
  const uses = (what: RegExp): string[] =>
    readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .filter(name => what.test(readFileSync(new URL(name, src), 'utf8')));
  t.strictSame(uses(/^import .* from 'node-forge/m), ['encoding/der.ts']);
  t.strictSame(uses(/from 'node:(tls|http|https|dgram)'/), []);
});
