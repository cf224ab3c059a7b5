// SPDX-License-Identifier: Apache-2.0
// The version that programs print is the one of the package.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { commit, isHelpRequest, isVersionRequest, VERSION, versionBlock } from '../src/version.js';

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

t.test('the commit is the one that was built, also from dist', async t => {
  const built = await import('../dist/version.js');
  const written = readFileSync(new URL('../dist/commit.txt', import.meta.url), 'utf8').trim();
  t.match(built.versionBlock('prog'), `commit: ${written}\n`);
  t.match(written, /^[0-9a-f]{7,}\+?$|^unknown$/);
  t.equal(commit(), 'unknown', 'the sources themselves know none');
});

t.test('version and help are asked for as a word and with either dash, alone', async t => {
  for (const word of ['version', '-version', '--version', '-V']) t.ok(isVersionRequest([word]), word);
  for (const word of ['help', '-help', '--help', '-h']) t.ok(isHelpRequest([word]), word);
  t.notOk(isVersionRequest(['version', 'x']));
  t.notOk(isHelpRequest([]));
});
