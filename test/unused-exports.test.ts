// SPDX-License-Identifier: Apache-2.0
// Exports without a use, found in trees made for it, and every form in which a use can be written.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { exportsAndUses, unusedExports } from '../scripts/unused-exports.mjs';

/** A tree of one package `a`, which everybody may import, and a package `b`. */
function tree(top: string, files: Readonly<Record<string, string>>): string {
  const manifest = (name: string): string =>
    JSON.stringify({
      name: `@peerpod-tls/${name}`,
      exports: { '.': { default: './dist/index.js' }, './package.json': './package.json' },
    });
  const all = {
    'packages/a/package.json': manifest('a'),
    'packages/b/package.json': manifest('b'),
    'scripts/run.mjs': '',
    'test/kit/x.ts': '',
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(top, path)), { recursive: true });
    writeFileSync(join(top, path), text);
  }
  return top;
}

t.test('what no other file imports is named, values and types', async t => {
  const top = tree(t.testdir(), {
    'packages/a/src/one.ts': [
      'export const used = 1;',
      'export const dead = 2;',
      'export function alone(): number { return alone.length; }',
      'export interface Nobody { readonly a: number }',
      'export interface Options { readonly a: number }',
      'export async function take(options: Options): Promise<void> {}',
    ].join('\n'),
    'packages/a/src/two.ts': "import { take, used } from './one.js';\n",
  });
  t.strictSame(unusedExports(top), [
    'packages/a/src/one.ts exports dead, which no other file imports',
    'packages/a/src/one.ts exports alone, which no other file imports',
    'packages/a/src/one.ts exports Nobody, which no other file imports',
  ]);
});

t.test(
  'what the public list hands on is used by who imports the package, else by its own tests alone',
  async t => {
    const top = tree(t.testdir(), {
      'packages/a/src/one.ts':
        'export const wanted = 1;\nexport const unwanted = 2;\nexport const inside = 3;\nuse(inside);\n',
      'packages/a/src/index.ts': "export { inside, unwanted, wanted } from './one.js';\n",
      'packages/a/test/one.test.ts': "import { inside, unwanted, wanted } from '../src/one.js';\n",
      'packages/a/test/index.test.ts': "import * as a from '../src/index.js';\nObject.keys(a);\n",
      'packages/b/src/index.ts': "import { wanted } from '@peerpod-tls/a';\n",
    });
    t.strictSame(unusedExports(top), [
      'packages/a/src/one.ts exports unwanted, which its own tests alone use',
    ]);
  },
);

t.test('what is handed on to nobody is named in both places', async t => {
  const top = tree(t.testdir(), {
    'packages/a/src/one.ts': 'export const x = 1;\n',
    'packages/a/src/middle.ts': "export { x as y } from './one.js';\n",
  });
  t.strictSame(unusedExports(top), [
    'packages/a/src/middle.ts hands on y, which no other file imports',
    'packages/a/src/one.ts exports x, which no other file imports',
  ]);
});

t.test('a use is found in every form and not in comments', async t => {
  const { uses, exports, aliases } = exportsAndUses(
    [
      "import { a, type B as C } from './list.js';",
      'import type {',
      '  D,',
      '  E,',
      "} from './types.js';",
      "import whole, { f } from './both.js';",
      "import * as space from './space.js';",
      'space.g(space.h);',
      "import * as given from './given.js';",
      'hand(given);',
      "const { i, j: k } = await import('./later.js');",
      "const one = (await import('./member.js')).l;",
      "const all = import('./all.js');",
      "let kind: import('./kind.js').M;",
      "// import { no } from './comment.js';",
      '/* export const no = 1; */',
      "export { n, type O } from './on.js';",
      'export const { p, q: r } = read();',
      'export default p;',
    ].join('\n'),
  );
  t.strictSame(
    uses.map(([specifier, name]) => `${specifier} ${name}`),
    [
      './list.js a',
      './list.js B',
      './types.js D',
      './types.js E',
      './both.js f',
      './both.js default',
      './space.js g',
      './space.js h',
      './given.js *',
      './later.js i',
      './later.js j',
      './member.js l',
      './all.js *',
      './kind.js M',
    ],
  );
  t.strictSame(
    exports.map(({ name }) => name),
    ['p', 'r', 'default'],
  );
  t.strictSame(aliases, [
    ['n', './on.js', 'n'],
    ['O', './on.js', 'O'],
  ]);
});
