// SPDX-License-Identifier: Apache-2.0
// Our user-data and initdata as a guest in Go reads them: strict YAML of both generations, Go's base64, gzip and TOML.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { array, constantFrom, oneof, sample, string } from 'fast-check';
import t from 'tap';
import { buildGoProgram } from '../../../../test/kit/go-program.js';
import { renderApf } from '../../src/apf.js';
import { renderCloudConfig } from '../../src/cloud-config.js';
import { GUEST_PATHS } from '../../src/guest-paths.js';
import { EMPTY_INITDATA, parseInitdata, renderInitdata, unpackInitdata } from '../../src/initdata.js';

interface Answer {
  readonly yaml2: readonly unknown[];
  readonly yaml3: readonly unknown[];
  readonly initdata: readonly { readonly error: string }[];
  readonly packed: readonly string[];
}

/** The program, or why it cannot be had on this machine. */
const build = (directory: string): ReturnType<typeof buildGoProgram> =>
  buildGoProgram(fileURLToPath(new URL('.', import.meta.url)), join(directory, 'user-data-interop'));

const directory = mkdtempSync(join(tmpdir(), 'user-data-go-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const go = build(directory);
const program = 'program' in go ? go.program : '';
const skip = 'reason' in go && go.reason;

function ask(question: Readonly<Record<string, readonly string[]>>): Answer {
  const { stdout, stderr, status } = spawnSync(program, [], {
    input: JSON.stringify(question),
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
  if (status !== 0) throw new Error(`the Go program ended with ${status}: ${stderr}`);
  return JSON.parse(stdout);
}

const settled = (content: string): string => (content === '' ? '' : `${content.replace(/\n+$/, '')}\n`);

t.test('whole user-data is read strictly, every content as it was', { skip }, async t => {
  const files = [
    {
      path: GUEST_PATHS.apf,
      content: renderApf({
        podNetwork: { podip: '10.0.0.1', routes: null },
        podNamespace: 'ns',
        podName: 'a<b>&c',
        tlsServerKey: '-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n',
      }),
    },
    { path: GUEST_PATHS.initdata, content: renderInitdata(EMPTY_INITDATA) },
    { path: GUEST_PATHS.scratchSpace, content: '' },
  ];
  const expected = { files: files.map(({ path, content }) => ({ path, content: settled(content) })) };
  const { yaml2, yaml3 } = ask({ userDatas: [renderCloudConfig(files)] });
  t.strictSame(yaml2, [expected]);
  t.strictSame(yaml3, [expected]);
});

t.test('so is any text in a file', { skip }, async t => {
  const line = oneof(
    string({ unit: 'grapheme' }),
    constantFrom(
      '',
      ' ',
      '\t',
      '\r',
      '  x',
      '#',
      '---',
      '...',
      'a: b',
      '\u0085',
      '\u2028',
      '\ufeff',
      '\u0000',
    ),
  );
  const contents = sample(array(line, { maxLength: 6 }), { numRuns: 2000, seed: 7 }).map(lines =>
    lines.join('\n'),
  );
  const answer = ask({
    userDatas: contents.map(content =>
      renderCloudConfig([
        { path: '/a', content },
        { path: '/b', content: 'after' },
      ]),
    ),
  });
  for (const readings of [answer.yaml2, answer.yaml3]) {
    const wrong = contents
      .map((content, i) => ({
        content,
        expected: JSON.stringify({
          files: [
            { path: '/a', content: settled(content) },
            { path: '/b', content: 'after\n' },
          ],
        }),
        found: JSON.stringify(readings[i]),
      }))
      .filter(({ expected, found }) => JSON.stringify(JSON.parse(found)) !== expected);
    t.strictSame(wrong.slice(0, 3), []);
  }
});

t.test('initdata packed by us is read with the same entries and the same digest', { skip }, async t => {
  const tomls = ['sha256', 'sha384', 'sha512'].map(
    algorithm =>
      `# of a pod\nversion = "0.1.0"\nalgorithm = "${algorithm}"\n\n[data]\n"aa.toml" = '''\n[token_configs]\nurl = 'http://kbs'\n'''\n"policy.rego" = """a \\\n  b\\u00e9"""\n`,
  );
  const { initdata } = ask({ initdata: tomls.map(renderInitdata) });
  t.strictSame(
    initdata,
    tomls.map(toml => {
      const { algorithm, entries, digest } = parseInitdata(toml);
      return { error: '', algorithm, entries: Object.fromEntries(entries), digest };
    }),
  );
});

t.test('initdata packed by Go is unpacked by us', { skip }, async t => {
  const toml = [EMPTY_INITDATA, `${EMPTY_INITDATA}${'# x\n'.repeat(50_000)}`];
  const { packed } = ask({ toml });
  t.strictSame(
    packed.map(text => unpackInitdata(text).toString()),
    toml,
  );
});

t.test('base64 that Go does not take, we do not take', { skip }, async t => {
  const good = renderInitdata(EMPTY_INITDATA);
  const rows = [
    good.replace(/=+$/, '').slice(0, -1),
    `${good}A`,
    `${good}=`,
    good.replace(/[+/]/, '-'),
    'QUJD',
  ];
  const { initdata } = ask({ initdata: rows });
  rows.forEach((packed, i) => {
    if (packed === good) return;
    t.not(initdata[i]?.error, '');
    t.throws(() => unpackInitdata(packed), { code: 'ERR_USER_DATA_INITDATA' });
  });
});
