// SPDX-License-Identifier: Apache-2.0
// The sources and tests of a tree as text, and what an import of one of them leads to. Decides nothing.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const scope = '@peerpod-tls/';
const skipped = new Set(['node_modules', 'dist', 'gen', 'bundle', '.tap', '.git']);

/** TypeScript files below a folder, generated ones and declarations left out. */
function below(folder, into = []) {
  if (!existsSync(folder)) return into;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!skipped.has(entry.name)) below(path, into);
    } else if (/(?<!\.d)\.ts$/.test(entry.name)) into.push(path);
  }
  return into;
}

/** A text without its comments. */
const withoutComments = text => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

/** The entries of a package's `exports`, as `[specifier, source file]`. */
function entriesOf(top, name) {
  const manifest = JSON.parse(readFileSync(join(top, 'packages', name, 'package.json'), 'utf8'));
  return Object.entries(manifest.exports ?? {}).map(([subpath, target]) => {
    const built = typeof target === 'string' ? target : target.default;
    const source = built.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts');
    return [join(manifest.name, subpath), join('packages', name, source)];
  });
}

/**
 * A tree's packages, its sources and its tests, each file as `{ path, package, text, code }` with the path from the top
 * and the code without comments; and `resolve(specifier, from)`: the path of the source an import leads to, or undefined.
 * @param {string} top folder that holds `packages/`
 */
export function readTree(top) {
  const packages = readdirSync(join(top, 'packages'));
  const read = path => {
    const text = readFileSync(path, 'utf8');
    const where = relative(top, path);
    return { path: where, package: where.split('/')[1], text, code: withoutComments(text) };
  };
  const sources = packages.flatMap(name => below(join(top, 'packages', name, 'src'))).map(read);
  const tests = [...packages.map(name => join(top, 'packages', name, 'test')), join(top, 'test')]
    .flatMap(folder => below(folder))
    .map(read);
  const entries = new Map(packages.flatMap(name => entriesOf(top, name)));
  const known = new Set([...sources, ...tests].map(file => file.path));
  const resolve = (specifier, from) => {
    if (specifier.startsWith(scope)) return entries.get(specifier);
    if (!specifier.startsWith('.')) return undefined;
    const path = join(dirname(from), specifier);
    return [path, path.replace(/\.js$/, '.ts')].find(candidate => known.has(candidate));
  };
  return { packages, sources, tests, resolve };
}
