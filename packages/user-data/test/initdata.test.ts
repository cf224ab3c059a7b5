// SPDX-License-Identifier: Apache-2.0
// Initdata, there and back, and everything that must not be taken for it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { assert, property, string, uint8Array } from 'fast-check';
import t from 'tap';
import {
  EMPTY_INITDATA,
  MAX_INITDATA_BYTES,
  parseInitdata,
  renderInitdata,
  unpackInitdata,
} from '../src/initdata.js';

const pack = (bytes: string | Uint8Array): string => gzipSync(bytes).toString('base64');
const head = 'algorithm = "sha256"\nversion = "0.1.0"\n';

t.test('any text comes back as it went', async t => {
  assert(
    property(string({ unit: 'binary' }), text => unpackInitdata(renderInitdata(text)).toString() === text),
  );
  t.equal(
    renderInitdata(EMPTY_INITDATA),
    renderInitdata(EMPTY_INITDATA),
    'and gives the same letters each time',
  );
});

t.test('what gzip and base64 of the system make is read, line breaks and all', async t => {
  const text = `${head}# ${'x'.repeat(500)}${Math.random()}\n`;
  const { stdout, status } = spawnSync('sh', ['-c', 'gzip -c | base64'], { input: text, encoding: 'utf8' });
  t.equal(status, 0);
  t.match(stdout, /\n.+\n/);
  t.equal(unpackInitdata(stdout).toString(), text);
});

t.test('the digest is that of the text as it stands', async t => {
  for (const algorithm of ['sha256', 'sha384', 'sha512']) {
    const toml = `# comment\r\nversion='0.1.0'\nalgorithm = "${algorithm}"\n[data]\n"aa.toml" = '''\na\n'''\n"é" = ""\n`;
    const initdata = parseInitdata(toml);
    t.strictSame(initdata, {
      algorithm,
      digest: createHash(algorithm).update(toml).digest('hex'),
      entries: new Map([
        ['aa.toml', 'a\n'],
        ['é', ''],
      ]),
      unknownKeys: [],
    });
  }
  t.equal(parseInitdata(EMPTY_INITDATA).digest, createHash('sha256').update(EMPTY_INITDATA).digest('hex'));
});

t.test('keys nobody knows are told; a missing data is an empty one', async t => {
  const { unknownKeys, entries } = parseInitdata(`${head}more = 1\n[other]\nx = 1\n`);
  t.strictSame(unknownKeys, ['more', 'other']);
  t.equal(entries.size, 0);
});

t.test('names that mean something to JavaScript are names', async t => {
  const { entries } = parseInitdata(`${head}[data]\n"__proto__" = "a"\nconstructor = "b"\n`);
  t.strictSame(
    [...entries],
    [
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ],
  );
  t.throws(() => parseInitdata(`${head}[__proto__]\ndata = "x"\n[data.__proto__]\nx = 1\n`), {
    code: 'ERR_USER_DATA_INITDATA',
  });
});

t.test('what is packed otherwise is refused with what it is', async t => {
  const cut = Buffer.from(pack(`${head}${Math.random()}`), 'base64')
    .subarray(0, -9)
    .toString('base64');
  const damaged = Buffer.from(pack(head), 'base64');
  damaged.writeUInt8(damaged.readUInt8(damaged.length - 6) ^ 0xff, damaged.length - 6);
  const rows: readonly [string, RegExp][] = [
    [head, /is not base64/],
    ['H4sIA', /is not base64/],
    ['H4sI-_==', /is not base64/],
    ['H4=sIAAA', /is not base64/],
    ['', /is empty/],
    [' \n', /is empty/],
    [Buffer.from(head).toString('base64'), /is base64, but not of gzip/],
    [cut, /cut short, or damaged/],
    [renderInitdata(renderInitdata(head)), /is packed twice/],
    [renderInitdata(`${renderInitdata(head)}\n`), /is packed twice/],
    [renderInitdata(gzipSync(head)), /is packed twice/],
    [damaged.toString('base64'), /cut short, or damaged/],
  ];
  for (const [packed, message] of rows)
    t.throws(() => unpackInitdata(packed), { code: 'ERR_USER_DATA_INITDATA', message, hint: /gzip -c/ });
});

t.test('a bomb is not unpacked, in one piece or in several', async t => {
  const before = process.memoryUsage().arrayBuffers;
  const bomb = gzipSync(Buffer.alloc(300_000_000));
  t.ok(bomb.length < 300_000);
  t.throws(() => unpackInitdata(bomb.toString('base64')), {
    code: 'ERR_USER_DATA_TOO_LARGE',
    message: `the initdata unpacks to more than ${MAX_INITDATA_BYTES} bytes`,
  });
  t.ok(process.memoryUsage().arrayBuffers - before < 400_000_000);
  const member = gzipSync(Buffer.alloc(MAX_INITDATA_BYTES / 2));
  t.throws(() => unpackInitdata(Buffer.concat([member, member, member]).toString('base64')), {
    code: 'ERR_USER_DATA_TOO_LARGE',
  });
  t.equal(unpackInitdata(Buffer.concat([member, member]).toString('base64')).length, MAX_INITDATA_BYTES);
});

t.test('what is no initdata is refused by the line or the key, without any of its values', async t => {
  const secret = 'S3CR3T';
  const rows: readonly [string | Uint8Array, RegExp][] = [
    [`${head}x = "${secret}\n`, /not TOML: something is wrong in line 3/],
    [`${head}algorithm = "sha256"\n`, /not TOML/],
    [new Uint8Array([0xff, 0xfe]), /not UTF-8/],
    [`version = "0.1.0"\n# ${secret}`, /no algorithm that is text; it must be sha256, sha384, sha512/],
    [head.replace('sha256', 'md5'), /algorithm "md5"/],
    [head.replace('sha256', 'toString'), /algorithm "toString"/],
    [head.replace('0.1.0', '0.2.0'), /version "0\.2\.0"; it must be 0\.1\.0/],
    [head.replace('"0.1.0"', '1'), /no version that is text/],
    ['algorithm = "sha256"\n', /no version that is text/],
    [`${head}data = "${secret}"\n`, /a data that is no table/],
    [`${head}data = ["${secret}"]\n`, /a data that is no table/],
    [`${head}data = 2026-01-01\n`, /a data that is no table/],
    [`${head}[data]\n"aa.toml" = 1\n`, /an entry "aa\.toml" that is no text/],
    [`${head}[data]\naa.toml = "${secret}"\n`, /an entry "aa" that is no text/],
    [`${head}x = ${'['.repeat(100_000)}`, /not TOML/],
    ['', /no algorithm/],
  ];
  for (const [toml, message] of rows) {
    try {
      parseInitdata(toml);
      t.fail(`${String(toml).slice(0, 80)} was taken`);
    } catch (error) {
      t.match(error, { code: 'ERR_USER_DATA_INITDATA', message });
      t.notMatch(JSON.stringify([String(error), Object.values(error as object)]), secret);
    }
  }
  t.throws(() => parseInitdata(new Uint8Array(MAX_INITDATA_BYTES + 1)), { code: 'ERR_USER_DATA_TOO_LARGE' });
});

t.test('whatever the bytes, it is an answer or an error of ours', async t => {
  assert(
    property(uint8Array({ maxLength: 200 }), bytes => {
      for (const attempt of [
        () => parseInitdata(bytes),
        () => unpackInitdata(Buffer.from(bytes).toString('latin1')),
      ])
        try {
          attempt();
        } catch (error) {
          if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_USER_DATA_')))
            throw error;
        }
    }),
  );
  t.pass();
});

t.test('the largest text is read in a moment, whatever its shape', async t => {
  const shapes = [
    `${head}[data]\n"aa.toml" = '''\n${'x\n'.repeat(MAX_INITDATA_BYTES / 2 - 50)}'''\n`,
    `${head}[data]\n${Array.from({ length: 80_000 }, (_, i) => `k${i} = "xxxxxxxxxx"`).join('\n')}\n`,
    `${head}x = [${'1,'.repeat(1_000_000)}]\n`,
  ];
  for (const toml of shapes) {
    const begin = performance.now();
    parseInitdata(toml);
    const ms = performance.now() - begin;
    t.ok(ms < 8000, `${Math.round(ms)} ms`);
  }
});
