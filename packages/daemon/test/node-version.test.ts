// SPDX-License-Identifier: Apache-2.0
// Which Node.js versions are refused, and with what words.
import t from 'tap';
import { readFileSync } from 'node:fs';
import { nodeRefusal } from '../src/node-version.js';

t.test('the Node.js that runs this is accepted', async t => {
  t.equal(nodeRefusal(), null);
});

t.test('each line is accepted from the release that fixed its TLS', async t => {
  for (const good of [
    '20.20.2',
    'v20.20.3',
    '20.21.0',
    '22.23.0',
    '22.99.0',
    '24.17.0',
    'v24.21.0',
    '26.3.1',
    '27.0.0',
    '30.1.2',
  ]) {
    t.equal(nodeRefusal(good), null, good);
  }
});

t.test('an older one is refused in one line that says why and what to install', async t => {
  const rows: readonly [string, RegExp][] = [
    ['0.12.18', /too old, 20\.20\.2 is the oldest/],
    ['18.20.8', /too old/],
    ['20.20.1', /CVE-2026-21637.*fixed in 20\.20\.2/],
    ['20.9.9', /fixed in 20\.20\.2/],
    ['22.22.2', /CVE-2026-48618.*fixed in 22\.23\.0/],
    ['24.16.0', /fixed in 24\.17\.0/],
    ['26.3.0', /fixed in 26\.3\.1/],
    ['21.7.3', /ended without/],
    ['23.11.0', /ended without/],
    ['25.9.0', /ended without/],
    ['27.0.0-nightly20261101', /pre-release/],
    ['banana', /cannot read/],
    ['', /cannot read/],
  ];
  for (const [version, why] of rows) {
    const refusal = nodeRefusal(version);
    t.match(refusal, why, version);
    t.match(refusal, /install Node\.js 24/);
    t.notMatch(refusal, /\n/);
  }
});

t.test('the module has no imports and no syntax that an old Node.js cannot read', async t => {
  const source = readFileSync(new URL('../src/node-version.ts', import.meta.url), 'utf8');
  t.notMatch(source, /^import /m);
  t.notMatch(source, /\?\?=|\|\|=|&&=|\bat\(|hasOwn|replaceAll|#[a-z]/);
});
