// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  Authority,
  describeCertificate,
  fingerprintOf,
  selfSignedClient,
  verifyPeer,
} from '../../src/index.js';
import { handshake, INPUT, noOpenssl, openssl, refusalOf } from '../support.js';

const now = new Date();
const day = 24 * 3600 * 1000;
const ca = await Authority.create({ subject: { O: 'y' } });
const other = await Authority.create({ subject: { O: 'x' } });
const server = await ca.issue('server', { names: ['vm-1', '10.0.0.1'] });
const client = await ca.issue('client');
const stranger = await other.issue('client');
const anchors = [ca.certificate];

t.test('peers that are in order are accepted', async t => {
  t.equal(refusalOf(client.certificate, [], anchors, 'client'), null);
  t.equal(refusalOf(client.certificate, [], anchors, 'client', { name: 'ignored' }), null);
  t.equal(refusalOf(server.certificate, [], anchors, 'server'), null);
  t.equal(refusalOf(server.certificate, [], anchors, 'server', { name: 'VM-1' }), null);
  t.equal(refusalOf(server.certificate, [], anchors, 'server', { name: '10.0.0.1' }), null);
  t.equal(
    refusalOf(client.certificate, [], [other.certificate, ca.certificate], 'client'),
    null,
    'overlap of two CAs',
  );
  t.equal(refusalOf(client.certificate, [ca.certificate], anchors, 'client'), null, 'the root sent along');
});

t.test('a refusal names rule, certificate, issuer, anchors and the clock', async t => {
  t.match(refusalOf(stranger.certificate, [], anchors, 'client', { now }), {
    rule: 'unknown-issuer',
    text: `the client certificate O=cloud-api-adaptor (sha256 ${fingerprintOf(stranger.certificate).slice(0, 16)}…) was signed by O=x, which is none of the 1 expected anchor (O=y (sha256 ${fingerprintOf(ca.certificate).slice(0, 16)}…))`,
    subject: 'O=cloud-api-adaptor',
    issuer: 'O=x',
    fingerprint: fingerprintOf(stranger.certificate),
    notBefore: describeCertificate(stranger.certificate).notBefore,
    notAfter: describeCertificate(stranger.certificate).notAfter,
    expected: [`O=y sha256 ${fingerprintOf(ca.certificate)}`],
    now: now.toISOString(),
  });
  t.match(refusalOf(null, [], anchors, 'client'), {
    rule: 'no-certificate',
    text: 'the client presented no certificate',
  });
  t.match(refusalOf(client.certificate, [], [], 'client'), { rule: 'unknown-issuer', expected: [] });
  const twin = await Authority.create({ subject: { O: 'y' } });
  const made = await twin.issue('client');
  t.match(refusalOf(made.certificate, [], anchors, 'client'), {
    rule: 'unknown-issuer',
    text: /that name but another key/,
  });
  t.match(refusalOf(stranger.certificate, [other.certificate], anchors, 'client'), {
    text: /O=x.*above the client.*signed by itself/,
  });
});

t.test('each rule has its own word', async t => {
  const at = (days: number) => ({ now: new Date(now.getTime() + days * day) });
  t.match(refusalOf(client.certificate, [], anchors, 'client', at(731)), {
    rule: 'expired',
    text: /client certificate .*expired at 20.*clock here says 20/,
  });
  t.match(refusalOf(client.certificate, [], anchors, 'client', at(-1)), {
    rule: 'not-yet-valid',
    text: /clock/,
  });
  t.match(refusalOf(server.certificate, [], anchors, 'client'), {
    rule: 'wrong-purpose',
    text: /serverAuth.*lacks clientAuth/,
  });
  t.match(refusalOf(client.certificate, [], anchors, 'server'), { rule: 'wrong-purpose' });
  t.match(refusalOf(server.certificate, [], anchors, 'server', { name: 'vm-2' }), {
    rule: 'wrong-name',
    text: /is for vm-1, 10\.0\.0\.1, and vm-2 was dialled/,
  });
  t.match(refusalOf(server.certificate, [], anchors, 'server', { name: '10.0.0.2' }), {
    rule: 'wrong-name',
  });
  t.match(refusalOf(client.certificate, [], [stranger.certificate], 'client'), {
    rule: 'unknown-issuer',
  });
  const leafAsCa = new X509Certificate(forge(client.certificate.raw));
  t.match(refusalOf(leafAsCa, [], anchors, 'client'), {
    rule: 'bad-signature',
    text: /was not made with the key of O=y/,
  });
});

/** The certificate with the last byte of its signature changed. */
function forge(der: Buffer): Buffer {
  const changed = Buffer.from(der);
  changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1);
  return changed;
}

t.test('an anchor that is no CA vouches for itself alone, also where several have one name', async t => {
  const one = await selfSignedClient();
  const two = await selfSignedClient();
  const both = [one.certificate, two.certificate];
  t.equal(refusalOf(one.certificate, [], both, 'client'), null);
  t.equal(refusalOf(two.certificate, [], both, 'client'), null);
  t.match(refusalOf(one.certificate, [], [two.certificate], 'client'), { rule: 'unknown-issuer' });
  t.equal(
    refusalOf(client.certificate, [], [client.certificate], 'client'),
    null,
    'an issued leaf as its own anchor',
  );
  // And TLS itself says the same.
  const serverEnd = { cert: server.certPem, key: server.keyPem, ca: [one.certPem, two.certPem] };
  for (const end of [one, two]) {
    t.equal(
      await handshake(serverEnd, { cert: end.certPem, key: end.keyPem, ca: ca.certPem }, 'vm-1'),
      'TLSv1.3',
    );
  }
  await t.rejects(
    handshake(
      { ...serverEnd, ca: [one.certPem] },
      { cert: two.certPem, key: two.keyPem, ca: ca.certPem },
      'vm-1',
    ),
  );
});

t.test('two CAs of one name serve side by side while one replaces the other', async t => {
  const [old, young] = [await Authority.create(), await Authority.create()];
  const bundle = [old.certPem, young.certPem];
  for (const authority of [old, young]) {
    const leaf = await authority.issue('client');
    t.equal(refusalOf(leaf.certificate, [], [old.certificate, young.certificate], 'client'), null);
    const end = { cert: leaf.certPem, key: leaf.keyPem, ca: ca.certPem };
    t.equal(
      await handshake({ cert: server.certPem, key: server.keyPem, ca: bundle }, end, 'vm-1'),
      'TLSv1.3',
    );
  }
});

t.test('what openssl verify says of a chain is said here', { skip: noOpenssl }, async t => {
  const dir = t.testdir({ ca: ca.certPem, cak: ca.exportKeyPem() });
  const read = (name: string): X509Certificate => new X509Certificate(readFileSync(join(dir, name)));
  const make = (
    name: string,
    by: string,
    extensions: string,
    args: readonly string[] = [],
  ): X509Certificate => {
    openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}k`], { cwd: dir });
    openssl(['req', '-new', '-key', `${name}k`, '-subj', `/CN=${name}`, '-out', 'csr'], { cwd: dir });
    const signer = by === '' ? ['-signkey', `${name}k`] : ['-CA', by, '-CAkey', `${by}k`];
    openssl(
      ['x509', '-req', '-in', 'csr', ...signer, '-days', '5', '-extfile', INPUT, '-out', name, ...args],
      { cwd: dir, input: extensions },
    );
    return read(name);
  };
  const verdict = (leaf: string, untrusted: readonly string[], anchor: string): boolean => {
    try {
      openssl(
        [
          'verify',
          '-purpose',
          'sslclient',
          '-partial_chain',
          '-auth_level',
          '2',
          '-CAfile',
          anchor,
          ...untrusted.flatMap(u => ['-untrusted', u]),
          leaf,
        ],
        { cwd: dir },
      );
      return true;
    } catch {
      return false;
    }
  };
  const isCa = 'basicConstraints=critical,CA:TRUE';
  make('root', '', isCa);
  make('mid', 'root', isCa);
  make('short', 'root', `${isCa},pathlen:0`);
  make('below', 'short', isCa);
  make('web', 'root', `${isCa}\nextendedKeyUsage=serverAuth`);
  make('nosign', 'root', `${isCa}\nkeyUsage=cRLSign`);
  make('noca', 'root', 'basicConstraints=CA:FALSE');
  const cases: [leaf: string, by: string, via: string[], anchor: string, rule: string | null][] = [
    ['a', 'mid', ['mid'], 'root', null],
    ['b', 'mid', [], 'root', 'unknown-issuer'],
    ['c', 'mid', [], 'mid', null],
    ['d', 'below', ['below', 'short'], 'root', 'issuer-not-allowed'],
    ['e', 'short', ['short'], 'root', null],
    ['f', 'web', ['web'], 'root', 'wrong-purpose'],
    ['g', 'nosign', ['nosign'], 'root', 'issuer-not-allowed'],
    ['h', 'noca', ['noca'], 'root', 'issuer-not-allowed'],
  ];
  for (const [leaf, by, via, anchor, rule] of cases) {
    const certificate = make(leaf, by, 'basicConstraints=CA:FALSE');
    const refusal = refusalOf(certificate, via.map(read), [read(anchor)], 'client');
    t.equal(refusal?.rule ?? null, rule, `${leaf} by ${by}: ${refusal?.text ?? 'accepted'}`);
    t.equal(verdict(leaf, via, anchor), rule === null, `openssl agrees on ${leaf}`);
  }
  make('brief', 'root', isCa, ['-days', '2']);
  const outlives = make('l', 'brief', 'basicConstraints=CA:FALSE');
  const ends = { t: 'accepted', paths: [{ notAfter: new Date(read('brief').validTo).getTime() }] } as const;
  const peer = { leaf: outlives, role: 'client' } as const;
  t.match(
    verifyPeer({ ...peer, chain: [read('brief')], anchors: [read('root')] }),
    ends,
    'the CA between ends first',
  );
  t.match(verifyPeer({ ...peer, chain: [], anchors: [read('brief')] }), ends, 'and as an anchor too');
  const sha1 = make('s', 'root', 'basicConstraints=CA:FALSE', ['-sha1']);
  t.match(refusalOf(sha1, [], [read('root')], 'client'), { rule: 'weak' });
  t.equal(verdict('s', [], 'root'), false);
  const odd = make('o', 'root', '1.2.3.4=critical,ASN1:NULL');
  t.match(refusalOf(odd, [], [read('root')], 'client'), { rule: 'unknown-critical-extension' });
  t.equal(verdict('o', [], 'root'), false);
  const wild = make('w', 'root', 'subjectAltName=DNS:*.example.com');
  t.equal(refusalOf(wild, [], [read('root')], 'server', { name: 'a.example.com' }), null);
  t.match(
    refusalOf(wild, [], [read('root')], 'server', { name: 'w' }),
    { rule: 'wrong-name' },
    'no common name',
  );
});

t.test('a chain made to keep the verifier busy ends soon', async t => {
  const names = await Promise.all(
    Array.from({ length: 60 }, () => Authority.create({ subject: { O: 'same' } })),
  );
  const [first] = names;
  if (!first) throw new Error('none');
  const leaf = await first.issue('client');
  const begun = performance.now();
  const refusal = refusalOf(
    leaf.certificate,
    names.map(a => a.certificate),
    anchors,
    'client',
  );
  t.equal(refusal?.rule, 'unknown-issuer');
  t.ok(performance.now() - begun < 1000);
});

t.test('a peer cannot put line ends or long texts into our messages', { skip: noOpenssl }, async t => {
  const dir = t.testdir({});
  openssl(
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      'k',
      '-out',
      'c',
      '-utf8',
      '-subj',
      `/CN=a\nb\u001b[2J/O=${'z'.repeat(60)}`,
      '-addext',
      'subjectAltName=DNS:a\\\\x',
    ],
    { cwd: dir },
  );
  const leaf = new X509Certificate(readFileSync(join(dir, 'c')));
  const text = JSON.stringify([refusalOf(leaf, [], anchors, 'client'), describeCertificate(leaf)]);
  t.notMatch(text, /\\n|\\u001b/);
});
