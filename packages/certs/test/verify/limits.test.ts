// SPDX-License-Identifier: Apache-2.0
// Limits are refused at start, with their figures, and guards that a peer could try to get around hold: how much is
// verified for it, how its bytes are encoded, what a wildcard stands for.
import { createPublicKey, X509Certificate } from 'node:crypto';
import t from 'tap';
import { Authority, checkCertificates, checkMaterial, selfSignedClient } from '../../src/index.js';
import { decodeDer } from '../../src/encoding/der.js';
import { alternativeNames, basicConstraints, spkiOf } from '../../src/encoding/extensions.js';
import { context, encodeDer, octetString, oid, sequence, type DerNode } from '../../src/encoding/der.js';
import { encodeSubject, type SubjectName } from '../../src/encoding/names.js';
import { certificatePem } from '../../src/encoding/pem.js';
import { signCertificate } from '../../src/issue/certificate.js';
import { generatePrivateKey } from '../../src/issue/keys.js';
import { factsOf } from '../../src/verify/facts.js';
import { MAX_CLIENT_CA_BYTES, MAX_PATH, MAX_VERIFICATIONS } from '../../src/verify/limits.js';
import { refusalOf, source } from '../support.js';

const ca = await Authority.create({ subject: { O: 'one' } });
const server = await ca.issue('server', { names: ['podvm-server'] });
const validity = { notBefore: new Date('2020-01-01Z'), notAfter: new Date('2040-01-01Z') };

async function made(
  name: string,
  extensions: DerNode[],
  by?: { name: string; key: Awaited<ReturnType<typeof generatePrivateKey>> },
  subjectName: SubjectName = { O: name },
) {
  const key = await generatePrivateKey();
  const subject = encodeSubject(subjectName);
  const content = {
    issuer: by ? encodeSubject({ O: by.name }) : subject,
    subject,
    spki: spkiOf(createPublicKey(key)),
    validity,
    extensions,
  };
  return { certificate: new X509Certificate(signCertificate(content, by?.key ?? key)), key, name };
}

const material = (role: 'server' | 'client', own: { certPem: string; keyPem: string }, anchors: string) =>
  checkMaterial({
    role,
    cert: source(own.certPem, 'tls.crt', '-cert-file'),
    key: source(own.keyPem, 'tls.key', '-cert-key'),
    anchors: source(anchors, 'ca.crt', '-ca-cert-file'),
  });

t.test(
  'a list of anchors whose names TLS cannot carry is refused to a server, with sum and limit',
  async t => {
    const long = 'x'.repeat(60);
    const anchors: string[] = [];
    for (let i = 0; i < 420; i += 1) {
      const subject = { O: `${long}${i}`, OU: long, CN: `${i}` };
      anchors.push((await selfSignedClient({ subject })).certPem);
    }
    const bundle = anchors.join('');
    t.throws(() => material('server', server, bundle), {
      code: 'ERR_CERT_LIMIT',
      message: new RegExp(
        `420 anchors in ca\\.crt \\(-ca-cert-file\\) come to \\d+ bytes.*at most ${MAX_CLIENT_CA_BYTES}`,
      ),
    });
    t.ok(material('client', await ca.issue('client'), bundle), 'a client tells nobody');
  },
);

t.test('more anchors of one name than are tried for a peer are refused', async t => {
  const twins: string[] = [];
  for (let i = 0; i < 17; i += 1) twins.push((await Authority.create()).certPem);
  t.throws(() => material('server', server, twins.join('')), {
    code: 'ERR_CERT_LIMIT',
    message: /17 anchors .* one name, and at most 16/,
  });
  t.ok(material('server', server, twins.slice(1).join('')));
});

t.test('a peer cannot have more signatures verified than the limit', async t => {
  const anchor = await made('anchor', [basicConstraints('ca')]);
  const last = await made('same', [basicConstraints('ca')], anchor);
  const pile = await Promise.all(
    Array.from({ length: MAX_VERIFICATIONS + 10 }, () => made('same', [basicConstraints('ca')])),
  );
  const leaf = await made('leaf', [], last);
  const tried = (n: number) => {
    const chain = [...pile.slice(0, n), last].map(p => p.certificate);
    return refusalOf(leaf.certificate, chain, [anchor.certificate], 'client');
  };
  t.match(tried(pile.length), {
    rule: 'too-many-candidates',
    text: new RegExp(`after ${MAX_VERIFICATIONS} signatures`),
  });
  t.equal(tried(9)?.rule, 'issuer-not-allowed', 'below it the way is found, and its path length is used up');
});

t.test('a way longer than anybody follows is refused at start and at a link, and is called that', async t => {
  const wayOf = async (length: number) => {
    const all = [await made('ca 0', [basicConstraints('ca')])];
    for (let i = 1; i < length - 1; i += 1)
      all.push(await made(`ca ${i}`, [basicConstraints('ca')], all.at(-1)));
    const leaf = await made('leaf', [alternativeNames(['podvm-server'])], all.at(-1));
    return { leaf, root: all[0], above: all.slice(1).toReversed() };
  };
  for (const [length, good] of [
    [MAX_PATH, true],
    [MAX_PATH + 1, false],
    [MAX_PATH + 4, false],
  ] as const) {
    const { leaf, root, above } = await wayOf(length);
    const anchors = root === undefined ? [] : [root.certificate];
    const chain = above.map(({ certificate }) => certificate);
    const refusal = refusalOf(leaf.certificate, chain, anchors, 'server');
    if (good) t.not(refusal?.rule, 'too-many-candidates', `${length} at a link`);
    else t.match(refusal, { rule: 'too-many-candidates', text: /more than 8 certificates on the way/ });
    const start = () =>
      checkCertificates({
        role: 'server',
        cert: source(
          [leaf.certificate, ...chain].map(c => certificatePem(c.raw)).join(''),
          'tls.crt',
          '-cert-file',
        ),
        anchors: source(anchors.map(c => certificatePem(c.raw)).join(''), 'ca.crt', '-ca-cert-file'),
      });
    if (!good)
      t.throws(
        start,
        { code: 'ERR_CERT_LIMIT', message: /tls\.crt .*more than 8/, hint: /nearer/ },
        `${length}`,
      );
  }
});

t.test('an extension that appears twice makes a certificate unreadable', async t => {
  const { certificate } = await made('x', [basicConstraints('leaf'), basicConstraints('leaf')]);
  t.throws(() => factsOf(certificate), /2\.5\.29\.19 appears twice/);
});

t.test('bytes that are not in the distinguished encoding are refused', async t => {
  t.ok(decodeDer(Buffer.from('3003020105', 'hex')));
  t.throws(() => decodeDer(Buffer.from('308103020105', 'hex')), /distinguished/, 'a length in the long form');
  t.throws(() => decodeDer(Buffer.from('30030201050500', 'hex')), 'bytes behind the value');
  t.throws(() => decodeDer(Buffer.from('30800201050000', 'hex')), 'a length that is left open');
});

t.test('a wildcard stands for one whole label, and for no part of one', async t => {
  const rows: [string, string, boolean][] = [
    ['*.example.org', 'a.example.org', true],
    ['*.example.org', 'a.b.example.org', false],
    ['pod*.example.org', 'podvm.example.org', false],
    ['*vm.example.org', 'podvm.example.org', false],
  ];
  for (const [san, name, good] of rows) {
    const names = sequence(context(2, Buffer.from(san)));
    const extension = sequence(oid('2.5.29.17'), octetString(encodeDer(names)));
    const { certificate } = await made('w', [extension]);
    const refusal = refusalOf(certificate, [], [certificate], 'server', { name });
    t.equal(refusal?.rule ?? 'good', good ? 'good' : 'wrong-name', `${san} for ${name}`);
  }
  const { certificate: common } = await made('c', [], undefined, { CN: 'c.example.org' });
  t.equal(
    refusalOf(common, [], [common], 'server', { name: 'c.example.org' })?.rule,
    'wrong-name',
    'a common name is no name',
  );
  const { certificate } = await made('n', [alternativeNames(['a'])]);
  t.equal(
    refusalOf(certificate, [], [certificate], 'server', { name: '' })?.rule,
    'wrong-name',
    'no name is no name',
  );
});
