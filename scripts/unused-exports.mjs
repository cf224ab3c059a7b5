// SPDX-License-Identifier: Apache-2.0
// Exports without a use: names of a module that no other file imports, and values that tests alone use. A type may be
// exported because something else in its file names it, and what a package's entry hands on is its public list, held by a
// test of its own. Reads files as text, which is exact because the formatter puts every import and export of a module at
// the beginning of a line.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const scope = '@peerpod-tls/';
const skipped = new Set(['node_modules', 'dist', 'gen', 'bundle', 'fixtures', '.tap', '.git']);

const meant = new Set([
  // Kept for who writes a service of his own: the protocol has four kinds of calls, and our services need two.
  'packages/ttrpc/src/service.ts clientStream',
  'packages/ttrpc/src/service.ts serverStream',
  // Node calls them by these names.
  'scripts/typescript/hooks.mjs resolve',
  'scripts/typescript/hooks.mjs load',
]);

/** Every module of ours below `folder`. */
function modulesBelow(folder, into = []) {
  if (!existsSync(folder)) return into;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!skipped.has(entry.name)) modulesBelow(path, into);
    } else if (/(?<!\.d)\.ts$|\.m?js$/.test(entry.name)) into.push(path);
  }
  return into;
}

/** `a, type B as C` as triples: the name there, the name here, and whether it is a type. */
const namesOf = list =>
  list
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')
    .map(item => {
      const [name, alias = name] = item.replace(/^type\s+/, '').split(/\s+as\s+/);
      return [name, alias, /^type\s/.test(item)];
    });

/**
 * What a module's text exports and imports.
 *
 * `exports`: names of its own, whether types, and whether the module itself uses them. `aliases`: `[name here, specifier,
 * name there]` of what it hands on. `uses`: `[specifier, name]` of what it imports; `*` for all.
 */
export function exportsAndUses(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const exports = [];
  const aliases = [];
  const uses = [];
  const declared =
    /^export (?:declare )?(?:abstract )?(?:async )?(function\*?|const|let|class|interface|type|enum) ([\w$]+)/gm;
  for (const [, kind, name] of code.matchAll(declared)) {
    const usedHere = code.split(new RegExp(`\\b${name}\\b`)).length > 2;
    exports.push({ name, isType: kind === 'interface' || kind === 'type', usedHere });
  }
  for (const [, list] of code.matchAll(/^export const \{([^}]*)\} =/gm)) {
    for (const item of list.split(',')) {
      const name = item.split(':').at(-1)?.trim() ?? '';
      if (name !== '') exports.push({ name, isType: false, usedHere: false });
    }
  }
  if (/^export default /m.test(code)) exports.push({ name: 'default', isType: false, usedHere: false });
  for (const [, type, list, specifier] of code.matchAll(
    /^export (type )?\{([^}]*)\}(?: from '([^']+)')?/gm,
  )) {
    for (const [name, alias, isType] of namesOf(list)) {
      if (specifier !== undefined) aliases.push([alias, specifier, name]);
      else exports.push({ name: alias, isType: type !== undefined || isType, usedHere: true });
    }
  }
  for (const [, specifier] of code.matchAll(/^export \*[^']*from '([^']+)'/gm)) uses.push([specifier, '*']);
  for (const [, clause, specifier] of code.matchAll(/^import (?:type )?([^'"]+?) from '([^']+)'/gm)) {
    const list = /\{([^}]*)\}/.exec(clause)?.[1] ?? '';
    for (const [name] of namesOf(list)) uses.push([specifier, name]);
    const whole = /\* as ([\w$]+)/.exec(clause)?.[1];
    if (whole !== undefined) uses.push(...membersOf(code, specifier, whole));
    else if (/^[\w$]+/.test(clause)) uses.push([specifier, 'default']);
  }
  for (const match of code.matchAll(/(.*)\bimport\(\s*'([^']+)'\s*,?\s*\)(.*)/g)) {
    const [, before, specifier, after] = match;
    const taken = /\{([^}]*)\} = await $/.exec(before)?.[1];
    const member = /^\)?\.([\w$]+)/.exec(after)?.[1];
    if (taken !== undefined) {
      for (const item of taken.split(',')) uses.push([specifier, item.split(':')[0].trim()]);
    } else uses.push([specifier, member !== undefined && member !== 'then' ? member : '*']);
  }
  return { exports, aliases, uses };
}

/** What is used of a module imported whole: the members named, or all when it is handed on. */
function membersOf(code, specifier, whole) {
  const rest = code.replace(/^import [^'"]+? from '[^']+'/gm, '');
  const members = [...rest.matchAll(new RegExp(`\\b${whole}\\.([\\w$]+)`, 'g'))];
  const mentions = [...rest.matchAll(new RegExp(`\\b${whole}\\b`, 'g'))];
  return mentions.length > members.length ? [[specifier, '*']] : members.map(([, name]) => [specifier, name]);
}

/**
 * Complaints about one tree; empty when every export has a use.
 * @param {string} top folder that holds `packages/`, `scripts/` and `test/`
 * @returns {string[]}
 */
export function unusedExports(top) {
  const files = ['packages', 'scripts', 'test'].flatMap(folder => modulesBelow(join(top, folder)));
  const modules = new Map(files.map(file => [file, exportsAndUses(readFileSync(file, 'utf8'))]));
  const entries = packageEntries(top);
  const resolve = (specifier, from) => {
    if (specifier.startsWith(scope)) return entries.get(specifier);
    if (!specifier.startsWith('.')) return undefined;
    const path = join(dirname(from), specifier);
    return [path, path.replace(/\.js$/, '.ts')].find(candidate => modules.has(candidate));
  };

  /** Files that use a name of a file, by `file\nname`. */
  const users = new Map();
  const use = (file, name, by) => {
    const key = `${file}\n${name}`;
    users.set(key, new Set([...(users.get(key) ?? []), ...by]));
  };
  const usersOf = (file, name) => [
    ...(users.get(`${file}\n${name}`) ?? []),
    ...(users.get(`${file}\n*`) ?? []),
  ];
  for (const [file, { uses }] of modules) {
    for (const [specifier, name] of uses) {
      const target = resolve(specifier, file);
      if (target !== undefined && target !== file) use(target, name, [file]);
    }
  }
  const entryFiles = new Set(entries.values());
  const handedOn = files.flatMap(file =>
    modules
      .get(file)
      .aliases.map(([name, specifier, there]) => [file, name, resolve(specifier, file), there]),
  );
  // A name that is handed on is used by who uses its new name, at most three times from file to file.
  for (let pass = 0; pass < 3; pass += 1) {
    for (const [file, name, target, there] of handedOn) {
      if (target !== undefined) use(target, there, usersOf(file, name));
    }
  }
  const listed = new Set(
    handedOn.filter(([file]) => entryFiles.has(file)).map(([, , target, there]) => `${target}\n${there}`),
  );

  return files.flatMap(file => {
    const where = relative(top, file);
    if (entryFiles.has(file)) return [];
    const { exports, aliases } = modules.get(file);
    const said = aliases
      .filter(([name]) => usersOf(file, name).length === 0)
      .map(([name]) => `${where} hands on ${name}, which no other file imports`);
    const [, home] = /^(packages\/[^/]+\/)src\//.exec(where) ?? [];
    for (const { name, isType, usedHere } of exports) {
      if ((isType && usedHere) || meant.has(`${where} ${name}`)) continue;
      const by = usersOf(file, name);
      if (by.length === 0 && !listed.has(`${file}\n${name}`))
        said.push(`${where} exports ${name}, which no other file imports`);
      else if (
        home !== undefined &&
        !isType &&
        !usedHere &&
        by.every(one => one.startsWith(join(top, home, 'test/')))
      )
        said.push(`${where} exports ${name}, which its own tests alone use`);
    }
    return said;
  });
}

/** What an import of one of our packages by its name leads to. */
function packageEntries(top) {
  const entries = new Map();
  for (const name of readdirSync(join(top, 'packages'))) {
    const manifest = JSON.parse(readFileSync(join(top, 'packages', name, 'package.json'), 'utf8'));
    for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
      const built = typeof target === 'string' ? target : target.default;
      const source = built.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts');
      entries.set(join(manifest.name, subpath), join(top, 'packages', name, source));
    }
  }
  return entries;
}
