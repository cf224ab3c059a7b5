// SPDX-License-Identifier: Apache-2.0
// The version that programs print is the one of the package.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { VERSION, versionBlock } from '../src/version.js';

t.test('the version is that of package.json', async t => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  t.equal(VERSION, version);
});

t.test('the block has three lines', async t => {
  t.match(
    versionBlock('prog'),
    /^prog version \d+\.\d+\.\d+\n {2}commit: \w+\n {2}node: v\d+\.\d+\.\d+ \(OpenSSL [^)]+\)\n$/,
  );
});
