// SPDX-License-Identifier: Apache-2.0
// What is proved of our own material before it is put in force, and that a refusal is a rejection and nothing else.
import { Authority } from '@peerpod-tls/certs';
import t from 'tap';
import { proveMaterial } from '../../src/tls/prove-material.js';
import { makeWorld, material, serverName } from '../support/tls.js';

const world = await makeWorld();

t.test('sound material of either end is proved, under each lowest version', async t => {
  for (const minVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    await t.resolves(proveMaterial(world.server, { minVersion }));
    await t.resolves(proveMaterial(world.client, { minVersion }));
  }
  for (const algorithm of ['ecdsa-p384', 'ed25519', 'rsa-2048'] as const) {
    const authority = await Authority.create({ algorithm });
    const leaf = await authority.issue('server', { names: [serverName], algorithm });
    await t.resolves(
      proveMaterial(material('server', leaf, authority.certPem), { minVersion: 'TLSv1.2' }),
      algorithm,
    );
  }
});

t.test('suites that do not fit the key of a server are refused before the first connection', async t => {
  await t.rejects(
    proveMaterial(world.server, { minVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }),
    {
      code: 'ERR_LINK_OWN_MATERIAL',
    },
  );
});
