// SPDX-License-Identifier: Apache-2.0
// Certificates from the field, each tried in every place it can stand: as server and client material at start, as an
// anchor, as one anchor among good ones, and at a link. All places must come to one verdict, in true words.
import { X509Certificate } from 'node:crypto';
import { checkMaterial, verifyPeer, type TlsMaterial } from '@peerpod-tls/certs';
import t, { type Test } from 'tap';
import { dialLink } from '../../src/tls/dial.js';
import { listenLink } from '../../src/tls/listen.js';
import { proveMaterial } from '../../src/tls/prove-material.js';
import { verifyAsALinkWould } from '../../src/tls/verify-certificates.js';
import {
  ANY_PURPOSE,
  CLIENT_AUTH,
  ext,
  extension,
  forge,
  forgeCa,
  forgeLeaf,
  generalizedTime,
  oid,
  rsaKey,
  schemes,
  seq,
  SERVER_AUTH,
  tlv,
  utcTime,
  type Forged,
  type ForgeInput,
} from '../support/forge.js';
import { profile, silentLog } from '../support/tls.js';

const NAME = 'podvm-server';
const root = forgeCa('root');
const good = { server: forgeLeaf('server', root), client: forgeLeaf('client', root) };
/** What the end that verifies presents, by a CA of its own: a server would send ours along if it had it as an anchor. */
const elsewhere = forgeCa('elsewhere');
const sound = { server: forgeLeaf('server', elsewhere), client: forgeLeaf('client', elsewhere) };

const source = (pem: string, file: string) => ({ pem, file, flag: '-flag' });

interface Parts {
  readonly cert: string;
  readonly key: string;
  readonly anchors: string;
}

const materialOf = (role: 'server' | 'client', { cert, key, anchors }: Parts): TlsMaterial =>
  checkMaterial({
    role,
    cert: source(cert, 'tls.crt'),
    key: source(key, 'tls.key'),
    anchors: source(anchors, 'ca.crt'),
  });

/** `good`, or the code of what start says, of a leaf whose own anchors are its peer's too (manual mode). */
async function atStart(
  role: 'server' | 'client',
  parts: Parts,
): Promise<{ verdict: string; text: string; warnings: readonly string[] }> {
  try {
    const material = materialOf(role, parts);
    await proveMaterial(material, profile);
    return { verdict: 'good', text: '', warnings: material.warnings };
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { verdict: code, text: message, warnings: [] };
  }
}

const read = (pem: string): X509Certificate[] =>
  [...pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(
    ([block]) => new X509Certificate(block),
  );

/** Whether the OpenSSL of this Node reads it at all. */
function isReadable(pem: string): boolean {
  try {
    return read(pem).length > 0;
  } catch {
    return false;
  }
}

/** `good`, or the rule a peer that has the anchors refuses by. */
async function byAPeer(
  role: 'server' | 'client',
  { cert, anchors }: Parts,
): Promise<{ verdict: string; text: string }> {
  const [leaf = null, ...chain] = read(cert);
  const name = role === 'server' ? NAME : undefined;
  const verdict = await verifyAsALinkWould({ leaf, chain, anchors: read(anchors), role, name });
  return verdict.t === 'accepted'
    ? { verdict: 'good', text: '' }
    : { verdict: verdict.refusal.rule, text: verdict.refusal.text };
}

/** `good`, or the rule that a real link to a real listener ends by. The presenting end is not checked at start. */
async function atALink(t: Test, role: 'server' | 'client', parts: Parts): Promise<string> {
  const other = role === 'server' ? 'client' : 'server';
  const bare = {
    chainPem: parts.cert,
    keyPem: parts.key,
    anchorsPem: [elsewhere.certPem],
    anchors: read(elsewhere.certPem),
  };
  // What start refuses is presented all the same, as a foreign program would.
  const presented = {
    ...materialOf(other, {
      cert: sound[other].certPem,
      key: sound[other].keyPem,
      anchors: elsewhere.certPem,
    }),
    ...bare,
    role,
  } as TlsMaterial;
  const verifier = materialOf(other, {
    cert: sound[other].certPem,
    key: sound[other].keyPem,
    anchors: parts.anchors,
  });
  const [server, client] = role === 'server' ? [presented, verifier] : [verifier, presented];
  let resolve: (verdict: string) => void = () => {};
  const promise = new Promise<string>(done => (resolve = done));
  const listener = await listenLink({
    host: '127.0.0.1',
    port: 0,
    security: { t: 'tls', material: () => server, profile },
    onPeer: peer => {
      peer.socket.on('error', () => {}).destroy();
      if (role === 'client') resolve('good');
    },
    onRefused: refusal => {
      if (role === 'client') resolve(refusal.rule);
    },
    log: silentLog,
  });
  t.teardown(() => listener.close());
  try {
    const link = await dialLink({
      host: '127.0.0.1',
      port: listener.address().port,
      security: { t: 'tls', material: () => client, profile },
      serverName: NAME,
      signal: AbortSignal.timeout(10_000),
      log: silentLog,
    });
    if (role === 'server') resolve('good');
    link.close();
  } catch (error) {
    if (role === 'server') resolve((error as { refusal?: { rule: string } }).refusal?.rule ?? 'no refusal');
  }
  return promise;
}

interface Row {
  readonly what: string;
  /** The rule at a peer, or `good`. */
  readonly peer: string;
  /** The code at start, or `good`. */
  readonly start: string;
  /** What the refusing text, or the warning at start, must say. */
  readonly words?: RegExp;
  /** Cannot be presented in a handshake: OpenSSL takes it into no context. */
  readonly unpresentable?: true;
  make(role: 'server' | 'client'): Parts;
}

const parts = (leaf: Forged, chain = '', anchors = root.certPem): Parts => ({
  cert: leaf.certPem + chain,
  key: leaf.keyPem,
  anchors,
});
const leafWith = (more: Partial<ForgeInput>) => (role: 'server' | 'client') =>
  parts(forgeLeaf(role, root, more));
const usual = (role: 'server' | 'client', ...more: Buffer[]): Buffer[] => [
  ext.notCa(),
  ext.purposes(role === 'server' ? SERVER_AUTH : CLIENT_AUTH),
  ...(role === 'server' ? [ext.dns(NAME)] : []),
  ...more,
];
const leafExtended =
  (...more: Buffer[]) =>
  (role: 'server' | 'client') =>
    parts(forgeLeaf(role, root, { extensions: usual(role, ...more) }));

const unreadable = { peer: 'unreadable', start: 'ERR_CERT_UNREADABLE' } as const;
const odd = (what: string, dates: Partial<ForgeInput>, words: RegExp): Row => ({
  what: `a date that is ${what}`,
  ...unreadable,
  words,
  make: leafWith(dates),
});

const inter = forgeCa('inter', { by: root });
const oldRoot = forgeCa('old root');
const crossed = forgeCa('root', { by: oldRoot, key: root.key, notAfter: utcTime('210101000000Z') });
const crossedAlive = forgeCa('root', { by: oldRoot, key: root.key, notAfter: utcTime('470101000000Z') });
const stranger = forgeCa('stranger');
const twin = forgeCa('root');
const viaInter =
  (chain: string, anchors = root.certPem) =>
  (role: 'server' | 'client') =>
    parts(forgeLeaf(role, inter), chain, anchors);
const underCa =
  (extensions: Buffer[], more: Partial<ForgeInput> = {}) =>
  (role: 'server' | 'client') => {
    const ca = forge({ cn: 'limited', extensions, ...more });
    return parts(forgeLeaf(role, ca), '', ca.certPem);
  };
const nameless = { peer: 'name-constraint', start: 'ERR_LINK_OWN_MATERIAL' } as const;
const rsaCa = forge({ cn: 'rsa root', key: rsaKey(), scheme: schemes.rsa, extensions: [ext.ca()] });

const rows: readonly Row[] = [
  odd(
    '60 seconds',
    { notAfter: utcTime('300101000060Z') },
    /notAfter is no date.*"300101000060Z" \(bytes 17 0d 33 30/,
  ),
  odd('the 30th of February', { notAfter: utcTime('300230000000Z') }, /notAfter.*300230000000Z/),
  odd('24 o’clock', { notAfter: utcTime('300101240000Z') }, /notAfter.*300101240000Z/),
  odd('text', { notAfter: utcTime('tomorrow') }, /notAfter.*tomorrow/),
  odd('empty', { notBefore: utcTime('') }, /notBefore/),
  odd('month 13', { notBefore: utcTime('201301000000Z') }, /notBefore.*201301000000Z/),
  odd('an offset', { notAfter: utcTime('480101000000+0100') }, /notAfter.*\+0100/),
  odd('without seconds', { notAfter: utcTime('4801010000Z') }, /notAfter/),
  odd('with a fraction', { notAfter: generalizedTime('20480101000000.5Z') }, /notAfter.*\.5Z/),
  odd('local time', { notAfter: generalizedTime('20480101000000') }, /notAfter/),
  {
    what: 'the year 9999',
    peer: 'good',
    start: 'good',
    make: leafWith({ notAfter: generalizedTime('99991231235959Z') }),
  },
  {
    what: 'a date before 2050 as GeneralizedTime',
    peer: 'good',
    start: 'good',
    make: leafWith({ notAfter: generalizedTime('20400229000000Z') }),
  },
  {
    what: 'an expired leaf',
    peer: 'expired',
    start: 'ERR_CERT_EXPIRED',
    words: /expired at 2021/,
    make: leafWith({ notAfter: utcTime('210101000000Z') }),
  },
  {
    what: 'a leaf not yet valid',
    peer: 'not-yet-valid',
    start: 'ERR_CERT_NOT_YET_VALID',
    make: leafWith({ notBefore: utcTime('470101000000Z') }),
  },
  {
    what: 'RSA-PSS with SHA-1',
    peer: 'weak',
    start: 'ERR_CERT_WEAK',
    words: /RSA-PSS and SHA-1/,
    unpresentable: true,
    make: role => parts(forgeLeaf(role, rsaCa, { scheme: schemes.pssSha1 }), '', rsaCa.certPem),
  },
  {
    what: 'RSA-PSS with SHA-256',
    peer: 'good',
    start: 'good',
    make: role => parts(forgeLeaf(role, rsaCa, { scheme: schemes.pssSha256 }), '', rsaCa.certPem),
  },
  {
    what: 'ECDSA with SHA-1',
    peer: 'weak',
    start: 'ERR_CERT_WEAK',
    words: /SHA-1/,
    unpresentable: true,
    make: leafWith({ scheme: schemes.ecdsaSha1 }),
  },
  {
    what: 'ECDSA with SHA-224',
    peer: 'weak',
    start: 'ERR_CERT_WEAK',
    words: /SHA-224/,
    make: leafWith({ scheme: schemes.ecdsaSha224 }),
  },
  {
    what: 'an algorithm nobody knows',
    peer: 'weak',
    start: 'ERR_CERT_WEAK',
    words: /algorithm 1\.2\.3\.4, which is not among those relied on/,
    unpresentable: true,
    make: leafWith({ scheme: { algorithm: seq(oid('1.2.3.4')), sign: schemes.ecdsa.sign } }),
  },
  {
    what: 'an unneeded cross-sign that has expired',
    peer: 'good',
    start: 'good',
    words: /not sent.*expired at 2021/,
    make: viaInter(inter.certPem + crossed.certPem),
  },
  {
    what: 'a cross-sign that is in force',
    peer: 'good',
    start: 'good',
    make: viaInter(inter.certPem + crossedAlive.certPem),
  },
  {
    what: 'an expired cross-sign as the only way',
    peer: 'expired',
    start: 'ERR_CERT_EXPIRED',
    make: viaInter(inter.certPem + crossed.certPem, oldRoot.certPem),
  },
  {
    what: 'leaf, root, intermediate',
    peer: 'good',
    start: 'good',
    words: /do not stand leaf first/,
    make: viaInter(root.certPem + inter.certPem),
  },
  {
    what: 'leaf, intermediate, an unrelated CA',
    peer: 'good',
    start: 'good',
    words: /CN=stranger.*signed nothing/,
    make: viaInter(inter.certPem + stranger.certPem),
  },
  {
    what: 'leaf, intermediate, intermediate',
    peer: 'good',
    start: 'good',
    words: /certificate 3 in tls\.crt.* is certificate 2 again/,
    make: viaInter(inter.certPem + inter.certPem),
  },
  {
    what: 'leaf, leaf, intermediate',
    peer: 'good',
    start: 'good',
    words: /again; it is sent once/,
    make: role => {
      const leaf = forgeLeaf(role, inter);
      return parts(leaf, leaf.certPem + inter.certPem);
    },
  },
  {
    what: 'a CA renewed under its name, old before new',
    peer: 'good',
    start: 'good',
    make: role => parts(forgeLeaf(role, twin), '', root.certPem + twin.certPem),
  },
  {
    what: 'a CA renewed under its name, new before old',
    peer: 'good',
    start: 'good',
    make: role => parts(forgeLeaf(role, twin), '', twin.certPem + root.certPem),
  },
  {
    what: 'a CA renewed, the leaf of the old one',
    peer: 'good',
    start: 'good',
    make: role => parts(forgeLeaf(role, root), '', twin.certPem + root.certPem),
  },
  {
    what: 'key identifiers that differ where the key is the same',
    peer: 'key-identifier',
    start: 'ERR_CERT_CHAIN_BROKEN',
    words: /identifiers differ, the key is the same/,
    make: role =>
      parts(
        forgeLeaf(role, root, { extensions: usual(role, ext.issuerKey('other')) }),
        '',
        rootWithId.certPem,
      ),
  },
  {
    what: 'a root of version 1',
    peer: 'good',
    start: 'good',
    words: /version 1 and cannot say that it is a CA/,
    make: underCa([], { version: 1 }),
  },
  {
    what: 'an intermediate of version 1',
    peer: 'issuer-not-allowed',
    start: 'ERR_CERT_CHAIN_BROKEN',
    words: /version 1/,
    make: role => {
      const middle = forge({ cn: 'middle', by: root, version: 1 });
      return parts(forgeLeaf(role, middle), middle.certPem);
    },
  },
  {
    what: 'a root of version 3 that is no CA',
    peer: 'issuer-not-allowed',
    start: 'ERR_CERT_CHAIN_BROKEN',
    make: underCa([ext.subjectKey('x')]),
  },
  {
    what: 'anyExtendedKeyUsage alone',
    peer: 'wrong-purpose',
    start: 'ERR_CERT_WRONG_PURPOSE',
    words: /anyExtendedKeyUsage is not counted/,
    make: role =>
      parts(forgeLeaf(role, root, { extensions: [ext.notCa(), ext.purposes(ANY_PURPOSE), ext.dns(NAME)] })),
  },
  {
    what: 'anyExtendedKeyUsage alone on the CA',
    peer: 'wrong-purpose',
    start: 'ERR_CERT_WRONG_PURPOSE',
    make: underCa([ext.ca(), ext.purposes(ANY_PURPOSE)]),
  },
  {
    what: 'a Netscape certificate type for e-mail',
    peer: 'wrong-purpose',
    start: 'ERR_LINK_OWN_MATERIAL',
    make: leafExtended(extension('2.16.840.1.113730.1.1', tlv(3, Buffer.of(5, 0x20)))),
  },
  {
    what: 'a CA that may name others only',
    ...nameless,
    words: /podvm-server is not among the names that CN=limited/,
    make: role =>
      role === 'server'
        ? underCa([ext.ca(), ext.names('permitted', 'example.org')])(role)
        : clientNamed('permitted', 'example.org'),
  },
  {
    what: 'a CA that may not name this',
    ...nameless,
    words: /podvm-server is not among/,
    make: role =>
      role === 'server'
        ? underCa([ext.ca(), ext.names('excluded', NAME)])(role)
        : clientNamed('excluded', NAME),
  },
  {
    what: 'a path length that is used up',
    peer: 'issuer-not-allowed',
    start: 'ERR_CERT_CHAIN_BROKEN',
    words: /allows 0 CAs below/,
    make: role => {
      const top = forgeCa('top', { extensions: [ext.ca(0)] });
      const middle = forgeCa('middle', { by: top });
      return parts(forgeLeaf(role, middle), middle.certPem, top.certPem);
    },
  },
  {
    what: 'a path length that a self-issued certificate does not use up',
    peer: 'good',
    start: 'good',
    make: role => {
      const top = forgeCa('top', { extensions: [ext.ca(0), ext.subjectKey('t')] });
      const ids = [ext.ca(0), ext.subjectKey('r'), ext.issuerKey('t')];
      const rekeyed = forgeCa('top', { by: top, extensions: ids });
      const leaf = forgeLeaf(role, rekeyed, { extensions: usual(role, ext.issuerKey('r')) });
      return parts(leaf, rekeyed.certPem, top.certPem);
    },
  },
  {
    what: 'an extension that appears twice',
    ...unreadable,
    words: /2\.5\.29\.19 appears twice/,
    make: leafExtended(ext.notCa()),
  },
  {
    what: 'a critical extension nobody knows',
    peer: 'unknown-critical-extension',
    start: 'ERR_CERT_WRONG_PURPOSE',
    make: leafExtended(extension('1.2.3.4', tlv(5), true)),
  },
  {
    what: 'a CA certificate as the leaf',
    peer: 'is-ca',
    start: 'ERR_CERT_IS_CA',
    make: role =>
      parts(
        forge({
          cn: 'both',
          by: root,
          extensions: [
            ext.ca(),
            ext.purposes(SERVER_AUTH, CLIENT_AUTH),
            ...(role === 'server' ? [ext.dns(NAME)] : []),
          ],
        }),
      ),
  },
  { what: 'the CA itself as the leaf', peer: 'is-ca', start: 'ERR_CERT_IS_CA', make: () => parts(root) },
  {
    what: 'the leaf of the other end',
    peer: 'wrong-purpose',
    start: 'ERR_CERT_WRONG_PURPOSE',
    make: role => parts(good[role === 'server' ? 'client' : 'server']),
  },
  {
    what: 'no usage at all',
    peer: 'good',
    start: 'good',
    make: role => parts(forgeLeaf(role, root, { extensions: [ext.dns(NAME)] })),
  },
];

const rootWithId = forge({ cn: 'root', key: root.key, extensions: [ext.ca(), ext.subjectKey('r')] });

function clientNamed(kind: 'permitted' | 'excluded', tree: string): Parts {
  const ca = forge({ cn: 'limited', extensions: [ext.ca(), ext.names(kind, tree)] });
  return parts(
    forgeLeaf('client', ca, { extensions: [ext.notCa(), ext.purposes(CLIENT_AUTH), ext.dns(NAME)] }),
    '',
    ca.certPem,
  );
}

for (const row of rows) {
  for (const role of ['server', 'client'] as const) {
    t.test(`${row.what}: a ${role} gets one verdict at start and at a link`, async t => {
      const made = row.make(role);
      const start = await atStart(role, made);
      t.equal(start.verdict, row.start, `start: ${start.text}`);
      if (!isReadable(made.cert)) {
        // Newer OpenSSL reads no certificate with such a date, so no peer can have one: the start is all there is.
        t.not(row.start, 'good');
        t.match(start.text, /tls\.crt \(-flag\)/, 'the file and the flag are named');
        if (row.words) t.match(start.text, row.words);
        return;
      }
      const peer = await byAPeer(role, made);
      t.equal(peer.verdict, row.peer, `a peer: ${peer.text}`);
      if (row.unpresentable !== true) t.equal(await atALink(t, role, made), row.peer, 'a real link');
      if (row.words) t.match([start.text, peer.text, ...start.warnings].join('\n'), row.words);
      if (row.start !== 'good') t.match(start.text, /tls\.crt \(-flag\)/, 'the file and the flag are named');
      t.equal(row.start === 'good', row.peer === 'good', 'the table itself has one verdict');
    });
  }
}

for (const [what, dates] of [
  ['60 seconds', { notAfter: utcTime('300101000060Z') }],
  ['an offset', { notBefore: utcTime('200101000000+0100') }],
] as const) {
  t.test(`an anchor with ${what} is refused alone, and left out with a warning among good ones`, async t => {
    const bad = forgeCa('odd anchor', dates);
    for (const role of ['server', 'client'] as const) {
      const own = good[role];
      const alone = await atStart(role, parts(own, '', bad.certPem));
      t.equal(alone.verdict, 'ERR_CERT_ANCHOR_UNREADABLE');
      t.match(alone.text, /anchor 1 in ca\.crt \(-flag\).*CN=odd anchor.*is no date.*\(bytes 17/);
      for (const bundle of [bad.certPem + root.certPem, root.certPem + bad.certPem]) {
        const among = await atStart(role, parts(own, '', bundle));
        t.equal(among.verdict, 'good');
        t.match(among.warnings, [/CN=odd anchor.*is no date.*it is left out/]);
        t.equal(await atALink(t, role, parts(own, '', bundle)), 'good', 'all else works');
      }
    }
  });
}

t.test(
  'what only OpenSSL refuses is refused at a link, though our own verification finds nothing',
  async t => {
    const ca = forge({ cn: 'limited', extensions: [ext.ca(), ext.names('permitted', 'example.org')] });
    const leaf = forgeLeaf('server', ca);
    const [own = null] = read(leaf.certPem);
    const ours = verifyPeer({ leaf: own, chain: [], anchors: read(ca.certPem), role: 'server', name: NAME });
    t.equal(ours.t, 'accepted');
    t.equal(await atALink(t, 'server', parts(leaf, '', ca.certPem)), 'name-constraint');
  },
);

t.test('a wildcard that stands for a name its CA is kept from is refused, however it is dialled', async t => {
  const verdicts = [
    ['*.example.org', 'bar.example.org', 'refused'],
    ['*.EXAMPLE.org', 'Bar.example.org', 'refused'],
    ['*.example.org', 'far.bar.example.org', 'accepted'],
    ['*.example.org', 'bar.example.com', 'accepted'],
    ['foo.example.org', 'bar.example.org', 'accepted'],
  ] as const;
  for (const [name, excluded, verdict] of verdicts) {
    const ca = forge({ cn: 'limited', extensions: [ext.ca(), ext.names('excluded', excluded)] });
    const extensions = [ext.notCa(), ext.purposes(SERVER_AUTH), ext.dns(name)];
    const leaf = forgeLeaf('server', ca, { extensions });
    const [own = null] = read(leaf.certPem);
    const peer = { leaf: own, chain: [], anchors: read(ca.certPem), role: 'server' } as const;
    const ours = verifyPeer({ ...peer, name: 'foo.example.org' });
    t.equal(ours.t, verdict, `${name} where ${excluded} is excluded`);
    if (ours.t !== 'refused') continue;
    t.match(ours.refusal, { rule: 'name-constraint', text: /\*\.example\.org.*stands for bar/i });
    const start = await atStart('server', parts(leaf, '', ca.certPem));
    t.equal(start.verdict, 'ERR_CERT_CHAIN_BROKEN', 'and at a start');
  }
});

t.test('a CA that issued itself a new certificate is followed only by key identifiers', async t => {
  const old = forge({ cn: 'twice', extensions: [ext.ca(), ext.subjectKey('old')] });
  for (const [what, inNew, inLeaf, verdict] of [
    ['in all of them', [ext.subjectKey('new'), ext.issuerKey('old')], [ext.issuerKey('new')], 'good'],
    ['not in the leaf', [ext.subjectKey('new'), ext.issuerKey('old')], [], 'bad-signature'],
    ['in the root alone', [], [], 'bad-signature'],
  ] as const) {
    const renewed = forge({ cn: 'twice', by: old, extensions: [ext.ca(), ...inNew] });
    const extensions = [ext.notCa(), ext.purposes(SERVER_AUTH), ext.dns(NAME), ...inLeaf];
    const leaf = forgeLeaf('server', renewed, { extensions });
    t.equal(await atALink(t, 'server', parts(leaf, renewed.certPem, old.certPem)), verdict, what);
  }
});
