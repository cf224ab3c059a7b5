// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Authority, readPem } from '../../src/index.js';
import { certificatesIn } from '../../src/encoding/certificates.js';
import { pemBlock, pemBlocks } from '../../src/encoding/pem.js';
import { source } from '../support.js';

const ca = await Authority.create();

t.test('a file that cannot be used is refused with file, flag and the way out', async t => {
  const dir = t.testdir({ empty: '', blank: ' \r\n', good: ca.certPem, sub: {} });
  const at = (name: string): string => join(dir, name);
  writeFileSync(at('big'), Buffer.alloc(1024 * 1024 + 1, 0x61));
  symlinkSync(at('good'), at('link'));
  symlinkSync(at('loop'), at('loop'));
  t.equal(readPem(at('good'), '-cert-file').pem, ca.certPem);
  t.equal(readPem(at('link'), '-cert-file').pem, ca.certPem, 'mounted secrets are links');
  const cases = {
    missing: 'ERR_CERT_FILE_MISSING',
    'good/below': 'ERR_CERT_FILE_MISSING',
    empty: 'ERR_CERT_FILE_EMPTY',
    blank: 'ERR_CERT_FILE_EMPTY',
    big: 'ERR_CERT_FILE_TOO_BIG',
    sub: 'ERR_CERT_FILE_NOT_REGULAR',
    loop: 'ERR_CERT_FILE_UNREADABLE',
  };
  for (const [name, code] of Object.entries(cases)) {
    t.throws(
      () => readPem(at(name), '-cert-file'),
      { code, message: `${at(name)} (-cert-file)`, hint: /\w/ },
      name,
    );
  }
  t.throws(() => readPem('/dev/null', '-x'), { code: 'ERR_CERT_FILE_NOT_REGULAR', message: /device/ });
  if (spawnSync('mkfifo', [at('pipe')]).status === 0) {
    t.throws(
      () => readPem(at('pipe'), '-x'),
      { code: 'ERR_CERT_FILE_NOT_REGULAR' },
      'without waiting for a writer',
    );
  }
});

t.test('blocks are found among text and every kind of line end', async t => {
  const block = pemBlock('CERTIFICATE', ca.certificate.raw);
  t.equal(block, ca.certPem);
  for (const end of ['\n', '\r\n', '\r', ' \n', '\n\n']) {
    const text = `Certificate: of a CA\n-----\nissuer: x\n${block}between\n${block}after`.replaceAll(
      '\n',
      end,
    );
    const found = pemBlocks(source(text, 'f', '-f'));
    t.equal(found.length, 2, JSON.stringify(end));
    t.ok(found.every(({ der }) => der.equals(ca.certificate.raw)));
  }
  t.strictSame(pemBlocks(source('nothing here\n', 'f', '-f')), []);
  t.throws(() => pemBlocks(source('nothing here\n-----END CERTIFICATE-----\n', 'f', '-f')), {
    code: 'ERR_CERT_PEM_MALFORMED',
    message: /line 2 is ended and never begun/,
  });
});

t.test('a text cut off anywhere is malformed or holds nothing, never half a certificate', async t => {
  let malformed = 0;
  for (let n = 0; n < ca.certPem.trimEnd().length; n += 1) {
    try {
      certificatesIn(source(ca.certPem.slice(0, n), 'f', '-f'));
      t.fail(`${n} characters were accepted`);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : error;
      if (code === 'ERR_CERT_PEM_MALFORMED') malformed += 1;
      else if (code !== 'ERR_CERT_NO_CERTIFICATE') t.fail(`${n} characters: ${String(error)}`);
    }
  }
  t.ok(malformed > 400);
});

t.test('damage inside a block is named with its line', async t => {
  const lines = ca.certPem.split('\n');
  const change = (index: number, text: string): string => lines.with(index, text).join('\n');
  const damaged = { code: 'ERR_CERT_PEM_MALFORMED', message: 'f (-f): the block begun in line 1' };
  for (const text of [
    change(2, '!!!!'),
    change(2, 'A'),
    change(2, ca.certPem),
    change(lines.length - 2, '-----END PRIVATE KEY-----'),
  ]) {
    t.throws(() => pemBlocks(source(text, 'f', '-f')), damaged);
  }
  t.throws(() => pemBlocks(source('-----BEGIN X-----\n-----END X-----', 'f', '-f')), {
    ...damaged,
    message: /is empty/,
  });
  const trailing = pemBlock('CERTIFICATE', Buffer.concat([ca.certificate.raw, Buffer.of(0)]));
  t.throws(() => certificatesIn(source(trailing, 'f', '-f')), {
    code: 'ERR_CERT_UNREADABLE',
    message: /begun in line 1 is no certificate/,
  });
});

t.test('a text made to keep the reader busy is read in no time', async t => {
  const begun = performance.now();
  const text =
    '-----BEGIN '.repeat(90_000) +
    '\n' +
    ' '.repeat(1_000_00) +
    '\n-----BEGIN CERTIFICATE-----\n' +
    'A:'.repeat(200_000);
  t.throws(() => pemBlocks(source(text, 'f', '-f')), { code: 'ERR_CERT_PEM_MALFORMED' });
  t.ok(performance.now() - begun < 2000);
});
