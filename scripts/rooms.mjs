// SPDX-License-Identifier: Apache-2.0
// The rule of which package may use which, held against the real imports: siblings, seams to the outside world (TLS,
// X.509, protobuf), and declared dependencies against used ones. Reads files as text; builds nothing.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { isBuiltin } from 'node:module';
import { pathToFileURL } from 'node:url';
import { root } from './steps.mjs';
import { importCircles } from './rules/circles.mjs';
import { documentedCodes, documents } from './rules/documents.mjs';
import { errorCodes } from './rules/error-codes.mjs';
import { onePlace } from './rules/one-place.mjs';
import { publicNames } from './rules/public-names.mjs';
import { readTree } from './rules/tree.mjs';
import { filesWithWords, replacedTerms } from './rules/words.mjs';
import { unusedExports } from './unused-exports.mjs';

const scope = '@peerpod-tls/';

/** Which siblings a package may import. `program` siblings are started as programs, never imported. */
const rooms = {
  base: { may: [] },
  certs: { may: ['base'] },
  ttrpc: { may: ['base'] },
  daemon: { may: ['base'] },
  'agent-protocol': { may: ['base', 'ttrpc'] },
  link: { may: ['base', 'certs', 'ttrpc', 'agent-protocol'] },
  trust: { may: ['base', 'certs', 'daemon', 'link'] },
  'user-data': { may: ['base', 'daemon'] },
  'dev-agent': { may: ['base', 'ttrpc', 'agent-protocol', 'daemon'] },
  forwarder: { may: ['base', 'certs', 'ttrpc', 'daemon', 'agent-protocol', 'link', 'trust', 'user-data'] },
  providers: { may: ['base', 'daemon', 'user-data'], program: ['forwarder', 'dev-agent', 'user-data'] },
  proxy: { may: ['base', 'certs', 'ttrpc', 'daemon', 'agent-protocol', 'link', 'trust'] },
  adaptor: {
    may: [
      'base',
      'certs',
      'ttrpc',
      'daemon',
      'agent-protocol',
      'link',
      'trust',
      'user-data',
      'providers',
      'proxy',
    ],
  },
  cli: {
    may: ['base', 'certs', 'ttrpc', 'agent-protocol', 'link', 'user-data', 'daemon'],
    program: ['adaptor'],
  },
};

/**
 * Packages of several houses: a folder of `src` uses itself, the files beside the folders that are named here, and the
 * folders that are common to all. Files beside the folders may use everything.
 */
const houses = {
  providers: { files: ['provider', 'errors'], folders: ['host'] },
};

/** Why a file of a folder of a house may not use a relative import; null when it may. */
function wrongHouse(name, home, file, specifier) {
  const house = houses[name];
  if (house === undefined) return null;
  const of = path => relative(join(home, 'src'), path).split('/');
  const [from, ...below] = of(file);
  const [to = '', ...rest] = of(join(file, '..', specifier));
  if (below.length === 0 || to === from) return null;
  const allowed =
    rest.length === 0 ? house.files.includes(to.replace(/\.js$/, '')) : house.folders.includes(to);
  if (allowed) return null;
  const may = [...house.files, ...house.folders.map(folder => `${folder}/`)].filter(
    one => one !== `${from}/`,
  );
  return `${relative(join(home, '..', '..'), file)} imports ${specifier}; ${name}/${from} may use ${may.join(', ')}`;
}

/** Modules that only the named packages may import: one outside world, one seam. */
const seams = {
  'node:tls': ['link'],
  'node-forge': ['certs'],
  protobufjs: ['ttrpc', 'agent-protocol'],
  long: ['ttrpc', 'agent-protocol'],
  yargs: ['cli'],
  yaml: ['user-data'],
  'node:https': ['providers'],
  'prom-client': ['daemon', 'adaptor'],
};

function filesBelow(folder, endings, into = []) {
  if (!existsSync(folder)) return into;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) filesBelow(path, endings, into);
    else if (endings.some(ending => entry.name.endsWith(ending))) into.push(path);
  }
  return into;
}

/** Module names that a source text imports, statically or dynamically, and the programs (`…/bin`) it names. */
export function importsOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const imports = code.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*['"]([^'"\s]+)['"]/g);
  const programs = code.matchAll(/['"](@peerpod-tls\/[\w-]+\/bin)['"]/g);
  return [...imports, ...programs].map(match => match[1]);
}

const packageOf = specifier =>
  specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : specifier.split('/')[0];

/**
 * Complaints about one tree; empty when every import obeys.
 * @param {string} top folder that holds `packages/`
 * @returns {string[]}
 */
export function complaints(top) {
  const said = [];
  for (const name of readdirSync(join(top, 'packages'))) {
    const home = join(top, 'packages', name);
    const room = rooms[name];
    if (room === undefined) {
      said.push(`packages/${name} is not in the table: add it to scripts/rooms.mjs with what it may use`);
      continue;
    }
    const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
    const declared = new Set(Object.keys(manifest.dependencies ?? {}));
    const used = new Set();
    const sources = [
      ...filesBelow(join(home, 'src'), ['.ts']),
      ...filesBelow(join(home, 'gen'), ['.js', '.d.ts']),
    ];
    for (const file of sources) {
      const where = relative(top, file);
      for (const specifier of importsOf(readFileSync(file, 'utf8'))) {
        if (specifier.startsWith('.')) {
          if (!join(file, '..', specifier).startsWith(home))
            said.push(`${where} reaches outside its package: ${specifier}`);
          const wrong = wrongHouse(name, home, file, specifier);
          if (wrong !== null) said.push(wrong);
          continue;
        }
        const allowed = seams[specifier] ?? seams[packageOf(specifier)];
        if (allowed !== undefined && !allowed.includes(name)) {
          said.push(`${where} imports ${specifier}, which is the business of ${allowed.join(' and ')}`);
        }
        if (isBuiltin(specifier)) {
          if (!specifier.startsWith('node:')) said.push(`${where} imports ${specifier} without node:`);
          continue;
        }
        used.add(packageOf(specifier));
        if (!declared.has(packageOf(specifier)))
          said.push(`${where} imports ${specifier}, which packages/${name}/package.json does not declare`);
        if (!specifier.startsWith(scope)) continue;
        const sibling = packageOf(specifier).slice(scope.length);
        const asProgram = specifier.endsWith('/bin') || specifier.endsWith('/package.json');
        if (!room.may.includes(sibling) && !(asProgram && room.program?.includes(sibling))) {
          said.push(
            `${where} imports ${specifier}; ${name} may use ${room.may.join(', ') || 'nothing of ours'}`,
          );
        }
      }
    }
    for (const dependency of declared) {
      if (!used.has(dependency))
        said.push(`packages/${name}/package.json declares ${dependency}, which nothing in it imports`);
    }
  }
  return said;
}

/** Development tools of the root that no script, test or setting names. Type packages go with what they describe. */
function unusedTools(top) {
  const manifest = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8'));
  const tests = readdirSync(join(top, 'packages')).map(name => join(top, 'packages', name));
  const readers = [join(top, 'scripts'), join(top, 'test'), ...tests]
    .flatMap(folder => filesBelow(folder, ['.ts', '.mjs', 'package.json']))
    .filter(file => !file.includes('/node_modules/') && !file.includes('/dist/'));
  const text = [...readers, join(top, '.taprc')].map(file => readFileSync(file, 'utf8')).join('\n');
  const named = name => text.includes(`'${name}'`) || text.includes(`=${name}`) || text.includes(`${name} `);
  const programs = { 'protobufjs-cli': 'pbjs', typescript: 'tsc' };
  return Object.keys(manifest.devDependencies ?? {})
    .filter(name => !name.startsWith('@types/') && !named(programs[name] ?? name))
    .map(
      name => `package.json has the development dependency ${name}, which no script, test or setting names`,
    );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const tree = readTree(root);
  const said = [
    ...complaints(root),
    ...unusedTools(root),
    ...unusedExports(root),
    ...[importCircles, onePlace, errorCodes, publicNames].flatMap(rule => rule(tree)),
    ...documents(root),
    ...documentedCodes(tree, root),
    ...replacedTerms(filesWithWords(root)),
  ];
  for (const line of said) process.stdout.write(`${line}\n`);
  process.exit(said.length === 0 ? 0 : 1);
}
