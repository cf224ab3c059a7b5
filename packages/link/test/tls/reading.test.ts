// SPDX-License-Identifier: Apache-2.0
// A remembered acceptance says what reading anew would say: not after its dates, not for another role, name, certificate
// or material. The certificates are real ones, each time in a new object, as every connection brings them.
import { X509Certificate } from 'node:crypto';
import { Authority, selfSignedClient, verifyPeer, type TlsMaterial } from '@peerpod-tls/certs';
import { array, assert, asyncProperty, constantFrom, record } from 'fast-check';
import t from 'tap';
import { readCertificates, type CertificateReading } from '../../src/tls/reading.js';
import { day, makeWorld, material, serverName } from '../support/tls.js';

const world = await makeWorld();
const now = new Date();
const later = (days: number): Date => new Date(now.getTime() + days * day);
const server = (): X509Certificate => new X509Certificate(world.serverLeaf.certPem);
const read = (at = now, name = serverName, own: TlsMaterial = world.client): Promise<CertificateReading> =>
  readCertificates(server(), own, 'server', name, null, at);

t.test('what was accepted is remembered, for the same bytes in another object', async t => {
  const first = await read();
  t.match(first, { t: 'accepted', seen: { names: [serverName], fingerprint: /^[0-9a-f]{64}$/u } });
  t.equal(await read(), first, 'the very answer of the first time');
});

t.test('a remembered certificate expires like any other, and is not valid before its time', async t => {
  t.equal((await read()).t, 'accepted');
  t.match(await read(later(731)), { t: 'refused', refusal: { rule: 'expired' } });
  t.match(await read(later(-1)), { t: 'refused', refusal: { rule: 'not-yet-valid' } });
  t.equal((await read()).t, 'accepted', 'a refusal is not remembered');
});

t.test('a certificate that is its own anchor expires too', async t => {
  const { certPem } = await selfSignedClient({ lifetimeDays: 30 });
  const own = material('server', world.serverLeaf, certPem);
  const leaf = (): X509Certificate => new X509Certificate(certPem);
  t.equal((await readCertificates(leaf(), own, 'client', undefined, null, later(29))).t, 'accepted');
  t.match(await readCertificates(leaf(), own, 'client', undefined, null, later(31)), {
    refusal: { rule: 'expired' },
  });
});

t.test('another name, another role and another material are asked anew', async t => {
  t.equal((await read()).t, 'accepted');
  t.match(await read(now, 'podvm-other'), { t: 'refused', refusal: { rule: 'wrong-name' } });
  t.match(await readCertificates(server(), world.client, 'client', undefined, null, now), {
    t: 'refused',
    refusal: { rule: 'wrong-purpose' },
  });
  const other = material('client', world.clientLeaf, (await Authority.create()).certPem);
  t.match(await read(now, serverName, other), { t: 'refused', refusal: { rule: 'unknown-issuer' } });
});

t.test('another certificate of the same subject and name is another certificate', async t => {
  t.equal((await read()).t, 'accepted');
  const impostor = await (await Authority.create()).issue('server', { names: [serverName] });
  const answer = await readCertificates(impostor.certificate, world.client, 'server', serverName, null, now);
  t.match(answer, { t: 'refused', refusal: { rule: /^(?:unknown-issuer|bad-signature)$/u } });
});

t.test('only so many are remembered, and the oldest gives way', async t => {
  const own = material('client', world.clientLeaf, world.authority.certPem);
  const first = await read(now, serverName, own);
  t.equal(await read(now, serverName, own), first);
  for (let made = 0; made < 64; made++) {
    const leaf = await world.authority.issue('server', { names: [`podvm-${made}`] });
    await readCertificates(leaf.certificate, own, 'server', `podvm-${made}`, null, now);
  }
  const again = await read(now, serverName, own);
  t.not(again, first, 'it was read anew');
  t.same(again, first, 'and came to the same');
});

t.test('in any order of questions the answer is the one of a fresh reading', async t => {
  const leaves = await Promise.all([
    world.authority.issue('server', { names: [serverName] }),
    world.authority.issue('server', { names: ['podvm-b'], lifetimeDays: 10 }),
    world.authority.issue('client', { names: ['c'] }),
    (await Authority.create()).issue('server', { names: [serverName] }),
  ]);
  const question = record({
    leaf: constantFrom(...leaves.map(leaf => leaf.certPem)),
    role: constantFrom('server', 'client'),
    name: constantFrom(serverName, 'podvm-b'),
    days: constantFrom(-1, 0, 9, 11, 729, 731),
  });
  await assert(
    asyncProperty(array(question, { maxLength: 30 }), async questions => {
      for (const { leaf, role, name, days } of questions) {
        const asked = role === 'server' ? name : undefined;
        const answer = await readCertificates(
          new X509Certificate(leaf),
          world.client,
          role,
          asked,
          null,
          later(days),
        );
        const fresh = verifyPeer({
          leaf: new X509Certificate(leaf),
          chain: [],
          anchors: world.client.anchors,
          role,
          name: asked,
          now: later(days),
        });
        t.strictSame(
          answer.t === 'refused' ? answer.refusal : null,
          fresh.t === 'refused' ? fresh.refusal : null,
        );
      }
    }),
    { numRuns: 60 },
  );
});
