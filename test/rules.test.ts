// SPDX-License-Identifier: Apache-2.0
// The rules over the whole tree, each held against the real sources and against a tree made to break it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { importCircles } from '../scripts/rules/circles.mjs';
import { documentedCodes, documents } from '../scripts/rules/documents.mjs';
import { errorCodes } from '../scripts/rules/error-codes.mjs';
import { mixedBundles } from '../scripts/rules/mixed-bundles.mjs';
import { onePlace } from '../scripts/rules/one-place.mjs';
import { publicNames } from '../scripts/rules/public-names.mjs';
import { readTree } from '../scripts/rules/tree.mjs';
import { filesWithWords, replacedTerms } from '../scripts/rules/words.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const real = readTree(root);

/** A tree of the packages a and b with the given files. */
function tree(top: string, files: Readonly<Record<string, string>>): ReturnType<typeof readTree> {
  const manifest = (name: string): string =>
    JSON.stringify({ name: `@peerpod-tls/${name}`, exports: { '.': { default: './dist/index.js' } } });
  const all = {
    'packages/a/package.json': manifest('a'),
    'packages/b/package.json': manifest('b'),
    'test/x.ts': '',
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(top, path)), { recursive: true });
    writeFileSync(join(top, path), text);
  }
  return readTree(top);
}

t.test('no file imports itself by way of others, types included', async t => {
  t.strictSame(importCircles(real), []);
  const circle = tree(t.testdir(), {
    'packages/a/src/index.ts': "export { one } from './one.js';\n",
    'packages/a/src/one.ts': "import type { Two } from './two.js';\nexport const one = 1;\n",
    'packages/a/src/two.ts': "import { b } from '@peerpod-tls/b';\nexport type Two = typeof b;\n",
    'packages/b/src/index.ts':
      "// import { x } from './gone.js';\nexport { one as b } from '@peerpod-tls/a';\n",
  });
  t.match(importCircles(circle), [
    /^import circle: packages\/a\/src\/index\.ts -> .*one\.ts -> .*two\.ts -> packages\/b\/src\/index\.ts -> packages\/a\/src\/index\.ts$/,
  ]);
});

t.test('what may be written in one place alone stands in no other', async t => {
  t.strictSame(onePlace(real), []);
  const broken = tree(t.testdir(), {
    'packages/a/src/a.ts': [
      'const s = AbortSignal.any([x, AbortSignal.timeout(5)]);',
      "import { setTimeout as pause } from 'node:timers/promises';",
      'await mkdir(path, { mode: 0o700, recursive: true });',
      'export function codeOf(error: unknown): string {}',
      'await writeFile(path, key, { mode: 0o600 });',
      'socket._handle.readStop();',
      'new Date(certificate.validTo);',
    ].join('\n'),
    'packages/b/src/b.ts': '// AbortSignal.any, node:timers/promises and _handle are only spoken of here\n',
  });
  t.equal(onePlace(broken).length, 7);
  t.ok(onePlace(broken).every(line => line.startsWith('packages/a/src/a.ts ')));
});

t.test('every error code is raised and tested', async t => {
  t.strictSame(errorCodes(real), []);
  const broken = tree(t.testdir(), {
    'packages/a/src/errors.ts':
      "export type Code =\n  | 'ERR_A_DEAD'\n  | 'ERR_A_RAISED'\n  | 'ERR_A_GOOD';\n",
    'packages/a/src/a.ts': "throw new AError('ERR_A_RAISED'); throw new AError('ERR_A_GOOD');\n",
    'packages/a/test/a.test.ts': "t.throws(f, { code: 'ERR_A_GOOD' });\n// ERR_A_RAISED is not tested\n",
    'packages/a/test/b.test.ts': '/* ERR_A_DEAD */\n',
  });
  t.strictSame(
    errorCodes(broken).map(line => line.replace(/^.*declares /, '')),
    [
      'ERR_A_DEAD, which nothing raises',
      'ERR_A_DEAD, which no test names',
      'ERR_A_RAISED, which no test names',
    ],
  );
});

t.test('every public name has a user outside of its package', async t => {
  t.strictSame(publicNames(real), []);
  const broken = tree(t.testdir(), {
    'packages/a/src/index.ts':
      "export { used, unused, type Needed, type Idle } from './one.js';\nexport type { Lost } from './two.js';\n",
    'packages/a/src/one.ts':
      'export interface Needed {}\nexport const used = (o: Needed) => o;\nexport const unused = 1;\n',
    'packages/a/src/two.ts': 'export interface Lost {}\n',
    'packages/a/test/one.test.ts': "import { unused } from '../src/index.js';\n",
    'packages/b/src/index.ts': "import { used } from '@peerpod-tls/a';\n",
  });
  t.strictSame(
    publicNames(broken).map(line => line.replace(/^.*hands on (\w+),.*$/, '$1')),
    ['unused', 'Idle', 'Lost'],
  );
});

t.test('every file that a document names is there', async t => {
  t.strictSame(documents(root), []);
  const top = t.testdir({
    docs: {
      'a.md':
        'See `packages/x/src/gone.ts`, [b](b.md), [c](../c.md#part) and [far](https://example.org/x).\n',
      'b.md': '`x/test/here.test.ts` and `x/test/gone.test.ts`\n',
    },
    packages: { x: { 'README.md': '`packages/x/README.md` is here\n', test: { 'here.test.ts': '' } } },
  });
  t.strictSame(documents(top).sort(), [
    'docs/a.md names c.md, which is not there',
    'docs/a.md names packages/x/src/gone.ts, which is not there',
    'docs/b.md names docs/x/test/gone.test.ts, which is not there',
  ]);
});

t.test('documents name the error codes there are, and the page of certificates all of its own', async t => {
  t.strictSame(documentedCodes(real, root), []);
  const top = t.testdir({ docs: { 'certificates.md': 'ERR_CERT_OLD and ERR_CERT_REAL\n' } });
  const sources = { 'packages/a/src/a.ts': "['ERR_CERT_REAL', 'ERR_TRUST_NEW', 'ERR_LINK_OTHER']\n" };
  t.strictSame(documentedCodes(tree(top, sources), top), [
    'docs/certificates.md names ERR_CERT_OLD, which no source does',
    'docs/certificates.md does not name ERR_TRUST_NEW',
  ]);
});

t.test('one word for one thing: what the glossary replaced is not used again', async t => {
  t.strictSame(replacedTerms(filesWithWords(root)), []);
  const text = [
    'the letter arrives',
    'a one-letter flag',
    'it judges',
    'const front = 1;',
    'noRoom()',
    'a wish',
  ];
  t.strictSame(
    replacedTerms([{ path: 'docs/a.md', text: text.join('\n') }]).map(line =>
      line.replace(/ says.*is /, ' '),
    ),
    [
      'docs/a.md:1 user-data',
      'docs/a.md:3 verify',
      'docs/a.md:4 downstream and upstream',
      'docs/a.md:5 free space',
      'docs/a.md:6 spec',
    ],
  );
});

t.test('a program that is there so that another need not have something is not bundled into it', async t => {
  const inputs = (...files: readonly string[]) => ({
    inputs: Object.fromEntries(files.map(file => [`packages/${file}.js`, { bytesInOutput: 1 }])),
  });
  const unused = { 'packages/link/dist/relay/relay.js': { bytesInOutput: 0 } };
  t.strictSame(
    mixedBundles(
      {
        'bundle/cloud-api-adaptor.cjs': {
          inputs: { ...unused, ...inputs('link/dist/tls/dial', 'proxy/dist/control/api').inputs },
        },
        'bundle/agent-protocol-proxy.cjs': inputs('link/dist/relay/relay', 'certs/dist/verify/anchors'),
      },
      () => 'const nothing = 1;',
    ),
    [],
  );
  t.match(
    mixedBundles(
      {
        'bundle/agent-protocol-forwarder.cjs': inputs('adaptor/dist/main'),
        'bundle/cloud-api-adaptor.cjs': inputs('link/dist/relay/relay', 'proxy/dist/in-process'),
        'bundle/agent-protocol-proxy.cjs': inputs('trust/dist/identity'),
      },
      () => 'var Authority = class {};',
    ),
    [
      /forwarder must hold nothing of the worker, but holds packages\/adaptor\/dist\/main\.js$/,
      /cloud-api-adaptor must hold nothing that carries bytes of a VM, but holds .*relay\.js$/,
      /cloud-api-adaptor must hold nothing of a data path, but holds .*in-process\.js$/,
      /proxy must hold nothing that makes VMs or certificates, but holds .*identity\.js, Authority = class$/,
    ],
  );
});
