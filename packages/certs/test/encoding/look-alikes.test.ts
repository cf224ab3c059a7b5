// SPDX-License-Identifier: Apache-2.0
// Text that looks like PEM and is not quite: read as it was meant, or told apart with the command that mends it. The
// commands are run as they are printed, where their programs are here.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { Authority, checkMaterial, readPem } from '../../src/index.js';
import { certificatesIn } from '../../src/encoding/certificates.js';
import { privateKeyIn } from '../../src/encoding/private-key.js';
import { noOpenssl, openssl, source } from '../support.js';

const ca = await Authority.create();
const leaf = await ca.issue('server', { names: ['podvm-server'] });
const both = ca.certPem + leaf.certPem;

t.test('what a person can read as two certificates is read as two', async t => {
  const rows: [string, string][] = [
    ['joined without a line end', ca.certPem.trimEnd() + leaf.certPem],
    ['a byte order mark before a later block', `${ca.certPem}\ufeff${leaf.certPem}`],
    ['a byte order mark at the start', `\ufeff${both}`],
    ['indented', both.replaceAll(/^/gm, '    ')],
    ['behind tabs', both.replaceAll(/^/gm, '\t')],
    ['quoted', `"${both.trimEnd()}"`],
    ['each quoted', `'${ca.certPem.trimEnd()}',\n'${leaf.certPem.trimEnd()}'`],
    ['on one line, with spaces where lines ended', both.replaceAll('\n', ' ')],
    ['a space of no width in front', `\u200b${both}`],
    ['blank lines inside', both.replaceAll('\n', '\n\n')],
  ];
  for (const [what, text] of rows) t.equal(certificatesIn(source(text, 'f', '-f')).length, 2, what);
});

t.test('a line that was meant as a boundary is never passed over', async t => {
  const rows: [string, string, RegExp][] = [
    [
      'typographic dashes',
      both.replace('-----BEGIN', '–––––BEGIN'),
      /line 1 has a boundary with typographic dashes/,
    ],
    ['em dashes later', ca.certPem + leaf.certPem.replace('-----BEGIN', '—BEGIN'), /typographic/],
    ['four hyphens', both.replace('-----BEGIN', '----BEGIN'), /line 1 .*looks like one/],
    [
      'small letters',
      ca.certPem + leaf.certPem.replace('BEGIN CERTIFICATE', 'begin certificate'),
      /looks like one/,
    ],
    ['four at the end', both.replace('CERTIFICATE-----', 'CERTIFICATE----'), /looks like one/],
    ['a comment sign in front', ca.certPem + leaf.certPem.replaceAll(/^/gm, '# '), /other text in front/],
    ['line ends as two characters', both.replaceAll('\n', '\\n'), /\\n as two characters/],
    ['no dashes at all', ca.certPem + leaf.certPem.replaceAll('-----', ''), /looks like one/],
    ['asterisks for dashes', ca.certPem + leaf.certPem.replaceAll('-----', '*****'), /looks like one/],
    [
      'the value of a JSON file',
      JSON.stringify({ 'tls.crt': both }),
      /\\n as two characters .*other text in front/,
    ],
    ['an end without a beginning', both.slice(30), /ended and never begun/],
  ];
  for (const [what, text, message] of rows) {
    t.throws(
      () => certificatesIn(source(text, 'f', '-f')),
      { code: 'ERR_CERT_PEM_MALFORMED', message, hint: /\w/ },
      what,
    );
  }
});

t.test(
  'what a file is instead is said, and the command printed makes PEM text of it',
  { skip: noOpenssl },
  async t => {
    const dir = t.testdir({
      'tls.crt': leaf.certPem,
      'tls.key': leaf.keyPem,
      'ca.crt': ca.certPem,
      'ca.key': ca.exportKeyPem(),
    });
    const at = (name: string): string => join(dir, name);
    const run = (...args: string[]) => openssl(args, { cwd: dir });
    run('pkcs12', '-export', '-in', 'tls.crt', '-inkey', 'tls.key', '-passout', 'pass:', '-out', 'pfx');
    run('crl2pkcs7', '-nocrl', '-certfile', 'tls.crt', '-outform', 'der', '-out', 'p7b');
    run('crl2pkcs7', '-nocrl', '-certfile', 'tls.crt', '-out', 'p7b.pem');
    run('x509', '-in', 'tls.crt', '-trustout', '-addtrust', 'serverAuth', '-out', 'trusted');
    run('req', '-new', '-key', 'tls.key', '-subj', '/CN=x', '-out', 'csr');
    run('req', '-new', '-key', 'tls.key', '-subj', '/CN=x', '-outform', 'der', '-out', 'csr.der');
    writeFileSync(at('der'), leaf.certificate.raw);
    writeFileSync(at('utf16'), Buffer.from(`\ufeff${leaf.certPem}`, 'utf16le'));
    writeFileSync(at('utf16 bare'), Buffer.from(leaf.certPem, 'utf16le'));
    writeFileSync(at('base64'), Buffer.from(leaf.certPem).toString('base64'));
    writeFileSync(at('twice'), Buffer.from(Buffer.from(leaf.certPem).toString('base64')).toString('base64'));
    writeFileSync(at('base64url'), Buffer.from(leaf.certPem).toString('base64url'));
    writeFileSync(at('quoted'), `"${Buffer.from(leaf.certPem).toString('base64')}"`);
    writeFileSync(
      at('secret'),
      `kind: Secret\ndata:\n  tls.crt: ${Buffer.from(leaf.certPem).toString('base64')}\n`,
    );
    writeFileSync(at('utf32'), Buffer.from([...Buffer.from(leaf.certPem)].flatMap(byte => [byte, 0, 0, 0])));
    writeFileSync(at('zeros'), Buffer.alloc(600));
    writeFileSync(at('base64 of der'), `${leaf.certificate.raw.toString('base64')}\n`);
    writeFileSync(at('gz'), gzipSync(leaf.certPem));
    writeFileSync(at('pub'), createPublicKey(leaf.certPem).export({ type: 'spki', format: 'pem' }));
    const rows: [string, RegExp, boolean][] = [
      ['der', /a certificate in DER/, true],
      ['pfx', /PKCS#12/, false],
      ['p7b', /PKCS#7/, true],
      ['p7b.pem', /PKCS#7/, true],
      ['trusted', /OpenSSL's own form/, true],
      ['csr', /a request for a certificate/, false],
      ['csr.der', /a request for a certificate in DER/, false],
      ['utf16', /UTF-16/, true],
      ['utf16 bare', /UTF-16/, true],
      ['base64', /encoded once more in base64/, true],
      ['twice', /twice more in base64/, true],
      ['base64url', /once more in base64/, true],
      ['quoted', /once more in base64/, true],
      ['secret', /manifest of a secret/, true],
      ['utf32', /UTF-32/, true],
      ['zeros', /nothing but zero bytes/, false],
      ['tls.key', /a private key/, false],
      ['base64 of der', /DER in base64/, true],
      ['gz', /gzip/, true],
      ['pub', /a public key/, false],
    ];
    for (const [name, what, mends] of rows) {
      let hint = '';
      try {
        certificatesIn(readPem(at(name), '-cert-file'));
        t.fail(name);
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        hint = (error as { hint: string }).hint;
        t.equal(code, 'ERR_CERT_NO_CERTIFICATE', name);
        t.match(message, what, name);
      }
      if (!mends) continue;
      const command = hint.slice(hint.indexOf(': ') + 2);
      const done = spawnSync('bash', ['-c', command], { cwd: dir, encoding: 'utf8' });
      if (/iconv|not found/.test(done.stderr)) continue;
      t.equal(done.status, 0, `${command}: ${done.stderr}`);
      const [mended] = certificatesIn(source(readFileSync(at('new.pem'), 'utf8'), 'new.pem', '-f'));
      t.equal(mended?.fingerprint256, leaf.certificate.fingerprint256, command);
    }
    const oddOne = checkMaterial({
      role: 'server',
      cert: readPem(at('tls.crt'), '-cert-file'),
      key: readPem(at('tls.key'), '-cert-key'),
      anchors: source(ca.certPem + readFileSync(at('trusted'), 'utf8'), 'ca.crt', '-ca-cert-file'),
    });
    t.match(
      oddOne.warnings,
      [/begun in line \d+ is a certificate in OpenSSL's own form.*left out/],
      'among anchors',
    );
  },
);

t.test('a text with JSON around it is mended by the command printed', { skip: noOpenssl }, async t => {
  const dir = t.testdir({ 'tls.json': JSON.stringify({ 'tls.crt': both }) });
  try {
    certificatesIn(readPem(join(dir, 'tls.json'), '-f'));
    t.fail('read');
  } catch (error) {
    const { hint } = error as { hint: string };
    const done = spawnSync('bash', ['-c', hint.slice(hint.indexOf(': ') + 2)], {
      cwd: dir,
      encoding: 'utf8',
    });
    t.equal(done.status, 0, done.stderr);
  }
  t.equal(certificatesIn(source(readFileSync(join(dir, 'new.pem'), 'utf8'), 'new.pem', '-f')).length, 2);
});

t.test('a key that is something else is told apart too', async t => {
  const der = createPrivateKey(leaf.keyPem).export({ type: 'pkcs8', format: 'der' });
  t.throws(() => privateKeyIn({ ...source('', 'k', '-k'), bytes: der }), {
    code: 'ERR_CERT_NO_KEY',
    message: /a private key in DER/,
    hint: /openssl pkey -inform der -in k/,
  });
  t.throws(() => privateKeyIn({ ...source('', 'k', '-k'), bytes: leaf.certificate.raw }), {
    code: 'ERR_CERT_NO_KEY',
    message: /a certificate in DER/,
    hint: /BEGIN PRIVATE KEY/,
  });
  t.throws(() => privateKeyIn(source(leaf.certPem, 'k', '-k')), {
    code: 'ERR_CERT_NO_KEY',
    message: /it is a certificate/,
  });
});
