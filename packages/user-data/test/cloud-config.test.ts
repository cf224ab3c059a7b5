// SPDX-License-Identifier: Apache-2.0
// The user-data as text: upstream's shape, any content, and nothing beyond files.
import { spawnSync } from 'node:child_process';
import {
  array,
  assert,
  constantFrom,
  oneof,
  property,
  record,
  sample,
  string,
  uniqueArray,
} from 'fast-check';
import t from 'tap';
import { MAX_USER_DATA_BYTES, parseCloudConfig, renderCloudConfig } from '../src/cloud-config.js';

/** What a reader gets for a content: exactly one newline at the end, or nothing. */
const settled = (content: string): string => (content === '' ? '' : `${content.replace(/\n+$/, '')}\n`);

t.test('the text has upstream\u2019s shape', async t => {
  t.equal(
    renderCloudConfig([
      { path: '/run/peerpod/apf.json', content: '{\n    "a": 1\n\n}' },
      { path: '/run/peerpod/scratch-space.marker', content: '' },
    ]),
    `#cloud-config

write_files:
  - path: /run/peerpod/apf.json
    content: |
      {
          "a": 1

      }
  - path: /run/peerpod/scratch-space.marker
`,
  );
  t.equal(renderCloudConfig([]), '#cloud-config\n');
});

t.test('any content in any file comes back with one newline at its end', async t => {
  const odd = [
    'x',
    'x\n',
    'x\n\n\n',
    '\n',
    '\n\nx',
    ' x',
    '\tx',
    '  \n x',
    'a\r\nb',
    'a\rb',
    'a\u0085b',
    'a\u2028b\u2029',
    '\ufeffx',
    'a\u0000b',
    'a\u001bb',
    '\u007f',
    'a: b',
    '- a',
    '# a',
    '"',
    "'",
    '%a',
    '@a',
    '`',
    '|',
    '>',
    '&a',
    '*a',
    '!a',
    '---',
    '...',
    '---\nb',
    '{}',
    '[]',
    'null',
    '~',
    'true',
    '012',
    '1e3',
    '\u{1f600}\u{10ffff}',
    '\ufffe\uffff',
    'x ',
    'x \ny\t\n',
    ' ',
    '\t',
    '?',
    ':',
    'a\n b\n\tc',
    'é'.repeat(5000),
  ];
  for (const content of odd) {
    const text = renderCloudConfig([
      { path: '/a', content },
      { path: '/b', content: 'after' },
    ]);
    t.strictSame(
      parseCloudConfig(text),
      [
        { path: '/a', content: settled(content) },
        { path: '/b', content: 'after\n' },
      ],
      encodeURIComponent(content.slice(0, 20)),
    );
  }
});

/** Files with anything in their names and contents that text can be. */
const part = oneof(
  string({ unit: 'grapheme', minLength: 1 }),
  constantFrom('a b', '"', "'", ': ', ' #', '\t', '\u2028', 'é'),
).filter(text => !text.includes('/') && !text.includes('\0') && text !== '.' && text !== '..');
const path = array(part, { minLength: 1, maxLength: 3 }).map(parts => `/${parts.join('/')}`);
const line = oneof(
  string({ unit: 'grapheme' }),
  constantFrom('', ' ', '\t', '\r', '  x', '#', '---', '\u0085'),
);
const content = array(line, { maxLength: 6 }).map(lines => lines.join('\n'));
const anyFiles = uniqueArray(record({ path, content }), { selector: file => file.path, maxLength: 4 });

t.test('and so do random contents and paths', async t => {
  assert(
    property(anyFiles, input => {
      const expected = input.map(file => ({ path: file.path, content: settled(file.content) }));
      const text = renderCloudConfig(input);
      t.same(parseCloudConfig(text), expected);
      t.equal(renderCloudConfig(parseCloudConfig(text)), text);
    }),
    { numRuns: 200 },
  );
});

/** Reads user-data, one JSON string a line, and prints what it found in each the same way. */
const PYTHON = `
import json, sys, yaml
for line in sys.stdin:
    userData = yaml.safe_load(json.loads(line)) or {}
    print(json.dumps([{"path": f["path"], "content": f.get("content", "")} for f in userData.get("write_files") or []]))
`;
const python = spawnSync('python3', ['-c', 'import yaml']).status === 0;

t.test(
  'another reader, of YAML 1.1, finds the same files',
  { skip: !python && 'needs python3 with yaml' },
  async t => {
    const userDatas = sample(anyFiles, 300);
    const input = userDatas.map(files => `${JSON.stringify(renderCloudConfig(files))}\n`).join('');
    const { stdout } = spawnSync('python3', ['-c', PYTHON], { input, encoding: 'utf8', maxBuffer: 1 << 28 });
    const found = stdout.trim().split('\n');
    t.equal(found.length, userDatas.length);
    for (const [i, files] of userDatas.entries()) {
      const expected = files.map(file => ({ path: file.path, content: settled(file.content) }));
      t.strictSame(JSON.parse(found[i] ?? ''), expected);
    }
  },
);

t.test(
  'user-data of other hands are read: quotes, flow style, line ends of Windows, a byte order mark, plain numbers',
  async t => {
    t.strictSame(
      parseCloudConfig('#cloud-config\r\nwrite_files:\r\n- content: |\r\n    x\r\n    y\r\n  path: "/a"\r\n'),
      [{ path: '/a', content: 'x\ny\n' }],
    );
    t.strictSame(
      parseCloudConfig(
        "\ufeff#cloud-config\nwrite_files: [{path: '/a', content: 012}, {path: /b}, {path: /c, content: }]",
      ),
      [
        { path: '/a', content: '012' },
        { path: '/b', content: '' },
        { path: '/c', content: '' },
      ],
    );
    t.strictSame(parseCloudConfig('#cloud-config\n# nothing\n'), []);
    t.strictSame(parseCloudConfig('#cloud-config\nwrite_files:\n'), []);
  },
);

t.test('everything else is refused with a code and without the content', async t => {
  const head = '#cloud-config\n';
  const rows: readonly [string, string, RegExp][] = [
    ['', 'FORMAT', /does not begin with #cloud-config/],
    ['<html>SECRET', 'FORMAT', /looks like a web page/],
    ['\u001f\u008bSECRET', 'FORMAT', /looks compressed/],
    ['#!/bin/sh\nSECRET', 'FORMAT', /does not begin/],
    [`${head}SECRET`, 'FORMAT', /not a table of keys/],
    [`${head}- SECRET`, 'FORMAT', /not a table of keys/],
    [`${head}runcmd: [SECRET]`, 'KEY', /a key "runcmd"; only write_files/],
    [`${head}write_files: SECRET`, 'FORMAT', /write_files is not a list/],
    [`${head}write_files: [SECRET]`, 'FORMAT', /write_files\[0\] is not a table/],
    [`${head}write_files: [{path: /a, permissions: '0600', content: SECRET}]`, 'KEY', /a key "permissions"/],
    [`${head}write_files: [{content: SECRET}]`, 'FORMAT', /write_files\[0\] has no path/],
    [`${head}write_files: [{path: [/a], content: SECRET}]`, 'FORMAT', /has no path/],
    [`${head}write_files: [{path: /a, content: [SECRET]}]`, 'FORMAT', /content is not a text/],
    [`${head}write_files: [{path: a}]`, 'PATH', /"a" is not absolute/],
    [`${head}write_files: [{path: ''}]`, 'PATH', /not absolute/],
    [`${head}write_files: [{path: /a/../b}]`, 'PATH', /not a plain path/],
    [`${head}write_files: [{path: /a//b}]`, 'PATH', /not a plain path/],
    [`${head}write_files: [{path: /a/}]`, 'PATH', /not a plain path/],
    [`${head}write_files: [{path: /./a}]`, 'PATH', /not a plain path/],
    [`${head}write_files: [{path: "/a\\0b"}]`, 'PATH', /not a plain path/],
    [`${head}write_files: [{path: /a}, {path: /a, content: SECRET}]`, 'PATH', /"\/a" comes twice/],
    [`${head}write_files: [{path: /a, path: /b}]`, 'FORMAT', /line 2 .*DUPLICATE_KEY/],
    [`${head}write_files: [{path: /a, content: !!binary U0VDUkVU}]`, 'FORMAT', /not/],
    [`${head}write_files: [{path: /a, content: "SECRET`, 'FORMAT', /line \d+ of the user-data/],
    [`${head}write_files:\n  - path: /a\n\tcontent: SECRET`, 'FORMAT', /line \d+ of the user-data/],
    [`${head}write_files: []\n---\nwrite_files: []`, 'FORMAT', /MULTIPLE_DOCS/],
    [`${head}write_files: &a [*a]`, 'FORMAT', /aliases/],
    [`${head}write_files: [{path: /a, content: &x SECRET}, {path: /b, content: *x}]`, 'FORMAT', /aliases/],
    [`${head}${'['.repeat(100_000)}`, 'FORMAT', /./],
    [`${head}write_files: [${'{path: /a},'.repeat(101)}]`, 'TOO_LARGE', /101 files, 100 are allowed/],
    [head + ' '.repeat(MAX_USER_DATA_BYTES), 'TOO_LARGE', /1048576 are allowed/],
  ];
  for (const [text, code, message] of rows) {
    const begin = performance.now();
    try {
      parseCloudConfig(text);
      t.fail(`accepted ${text.slice(0, 60)}`);
    } catch (error) {
      t.match(error, { code: `ERR_USER_DATA_${code}`, message }, text.slice(0, 80));
      t.notMatch(String(error), /SECRET/);
    }
    t.ok(performance.now() - begin < 2000, 'and soon');
  }
});

t.test('what cannot be sent is refused by the writer', async t => {
  t.throws(() => renderCloudConfig([{ path: 'a', content: '' }]), { code: 'ERR_USER_DATA_PATH' });
  t.throws(
    () =>
      renderCloudConfig([
        { path: '/a', content: '' },
        { path: '/a', content: '' },
      ]),
    { code: 'ERR_USER_DATA_PATH' },
  );
  t.throws(() => renderCloudConfig([{ path: '/a', content: '\ud800' }]), { code: 'ERR_USER_DATA_CONTENT' });
  t.throws(() => renderCloudConfig([{ path: '/a', content: 'x'.repeat(MAX_USER_DATA_BYTES) }]), {
    code: 'ERR_USER_DATA_TOO_LARGE',
  });
});
