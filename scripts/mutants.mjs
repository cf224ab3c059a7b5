// SPDX-License-Identifier: Apache-2.0
// `npm run test:mutants`: changes one guard or bound at a time in a copy of the tree, runs the tests that should notice,
// and prints the mutants that survive. Named mutants are in test/mutants/named.mjs; further ones are made from the sources
// of certs, link, ttrpc and proxy, the same ones each time, without those that change nothing anybody could see
// (test/mutants/equivalent.mjs). Outside of CI's fast part: it takes about a minute per dozen.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { transform } from 'esbuild';
import { readTree } from './rules/tree.mjs';
import { must, root } from './steps.mjs';
import { equivalent } from '../test/mutants/equivalent.mjs';
import { named } from '../test/mutants/named.mjs';

const usage = `Changes guards and bounds one at a time and prints those that no test notices.

  npm run test:mutants [-- --only TEXT] [--made N] [--list]

  --only TEXT  mutants whose file or name contains TEXT
  --made N     how many are made from the sources besides the named ones (default 100)
  --list       print them, run nothing
`;

const packages = ['certs', 'link', 'ttrpc', 'proxy'];
/** Longest that one test file may take under a mutant, in milliseconds; one that hangs has noticed. */
const TEST_MS = 90_000;
/** Most test files tried for a mutant made from the sources. */
const MOST_TESTS = 16;

const { values } = (() => {
  try {
    return parseArgs({
      options: {
        only: { type: 'string', default: '' },
        made: { type: 'string', default: '100' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
})();
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}

const tree = readTree(root);

/** Ways to spoil a line; each gives the new line or null. */
const operators = {
  'the guard is gone': line => {
    const match = /^(\s*)if \((.+)\) (return|throw|continue|break)\b(.*)$/.exec(line);
    return match === null ? null : `${match[1]}if (false && (${match[2]})) ${match[3]}${match[4]}`;
  },
  'the bound is off by one': line => {
    const match = /^(.*[\w)\]]) (>|<|>=|<=) ([\w(].*)$/.exec(line);
    if (match === null || /=>|\bfor \(|<[A-Z]|^\s*(?:import|export|type|interface)\b/.test(line)) return null;
    const other = { '>': '>=', '>=': '>', '<': '<=', '<=': '<' }[match[2]];
    return `${match[1]} ${other} ${match[3]}`;
  },
  'the check is turned round': line => {
    const match = /^(.*[\w)\]]) (===|!==) (.+)$/.exec(line);
    return match === null ? null : `${match[1]} ${match[2] === '===' ? '!==' : '==='} ${match[3]}`;
  },
};

const digest = text => createHash('sha256').update(text).digest('hex');

/** Tests of a file's package (of others, where it has none) that reach it, the namesake first, then by how short the way is. */
function testsOf(file) {
  const home = file.split('/').slice(0, 2).join('/');
  const importsOf = ({ path, code }) =>
    [...code.matchAll(/from '([^']+)'/g)].map(([, specifier]) => tree.resolve(specifier, path));
  const edges = new Map([...tree.sources, ...tree.tests].map(one => [one.path, importsOf(one)]));
  const distance = start => {
    const seen = new Map([[start, 0]]);
    for (const [at, steps] of seen) {
      if (at === file) return steps;
      for (const next of edges.get(at) ?? [])
        if (next !== undefined && !seen.has(next)) seen.set(next, steps + 1);
    }
    return Infinity;
  };
  const suites = ['/interop/', '/docker/', '/vm/', '/fixtures/'];
  const all = tree.tests
    .map(({ path }) => path)
    .filter(path => path.endsWith('.test.ts') && !suites.some(part => path.includes(part)));
  const own = all.filter(path => path.startsWith(`${home}/test/`));
  return (own.length > 0 ? own : all)
    .map(path => ({
      path,
      rank: basename(path).replace(/\.test\.ts$/, '') === basename(file, '.ts') ? -1 : distance(path),
    }))
    .filter(({ rank }) => rank < Infinity)
    .sort((a, b) => a.rank - b.rank)
    .slice(0, MOST_TESTS)
    .map(({ path }) => path);
}

/** Mutants made from the sources: the same ones for the same sources, spread over packages and files. */
function made(count) {
  const candidates = tree.sources
    .filter(({ package: home }) => packages.includes(home))
    .flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, at) =>
        /^\s*(?:\/\/|\*|\/\*)/.test(line)
          ? []
          : Object.entries(operators).flatMap(([what, spoil]) => {
              const spoiled = spoil(line);
              return spoiled === null || equivalent.has(`${path} ${what}: ${line.trim()}`)
                ? []
                : [{ file: path, line: at, what, spoiled, was: line.trim() }];
            }),
      ),
    )
    .sort((a, b) => (digest(a.file + a.was + a.what) < digest(b.file + b.was + b.what) ? -1 : 1));
  const perPackage = new Map();
  return candidates
    .filter(({ file }) => {
      const home = file.split('/')[1];
      perPackage.set(home, (perPackage.get(home) ?? 0) + 1);
      return perPackage.get(home) <= Math.ceil(count / packages.length);
    })
    .slice(0, count)
    .map(({ file, line, what, spoiled, was }) => ({
      name: `${file}:${line + 1} ${what}: ${was}`,
      file,
      apply: text => text.split('\n').with(line, spoiled).join('\n'),
      tests: testsOf(file),
    }));
}

/** A named mutant as one that can be applied; its text must stand in the file exactly once. */
function fromNamed({ name, file, from, to, tests }) {
  return {
    name: `${file} ${name}`,
    file,
    apply: text => {
      if (text.split(from).length !== 2)
        throw new Error(
          `test/mutants/named.mjs: ${JSON.stringify(from)} does not stand in ${file} exactly once`,
        );
      return text.replace(from, () => to);
    },
    tests: tests ?? testsOf(file),
  };
}

/** A copy of the tree in which sources may be spoilt: everything but node_modules, which is linked entry by entry. */
function workspace() {
  const home = mkdtempSync(join(tmpdir(), 'pp-mutants-'));
  const left = new Set(['node_modules', '.git', 'bundle', '.tap']);
  for (const entry of readdirSync(root)) {
    if (!left.has(entry))
      cpSync(join(root, entry), join(home, entry), {
        recursive: true,
        filter: path => !path.includes('/node_modules'),
      });
  }
  const modules = join(home, 'node_modules');
  mkdirSync(modules);
  for (const entry of readdirSync(join(root, 'node_modules'))) {
    if (entry !== '@peerpod-tls') symlinkSync(join(root, 'node_modules', entry), join(modules, entry));
  }
  mkdirSync(join(modules, '@peerpod-tls'));
  for (const name of tree.packages)
    symlinkSync(join(home, 'packages', name), join(modules, '@peerpod-tls', name));
  return home;
}

/** Puts a text in place of a source, and what it translates to in place of what is imported by other packages. */
async function put(home, file, text) {
  writeFileSync(join(home, file), text);
  const built = file.replace('/src/', '/dist/').replace(/\.ts$/, '.js');
  if (!existsSync(join(home, built))) return;
  const { code } = await transform(text, { loader: 'ts', format: 'esm', target: 'node20' });
  writeFileSync(join(home, built), code);
}

/** How a test file ends in a workspace: `passed`, `failed` or `timed out`. */
function run(home, test) {
  return new Promise(resolve => {
    const child = spawn(process.execPath, ['--import=./scripts/typescript/register.mjs', test], {
      cwd: home,
      stdio: 'ignore',
      detached: true,
      env: { ...process.env, TAP_BAIL: '1' },
    });
    let late = false;
    const stop = setTimeout(() => {
      late = true;
      process.kill(-child.pid, 'SIGKILL');
    }, TEST_MS);
    child.once('exit', code => {
      clearTimeout(stop);
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Nothing of it is left.
      }
      resolve(late ? 'timed out' : code === 0 ? 'passed' : 'failed');
    });
  });
}

const mutants = [...named.map(fromNamed), ...made(Number(values.made))].filter(({ name }) =>
  name.includes(values.only),
);
for (const key of equivalent.keys()) {
  const [, file, line] = /^(\S+) [^:]+: (.*)$/.exec(key) ?? [];
  const lines = existsSync(join(root, file ?? '')) ? readFileSync(join(root, file), 'utf8').split('\n') : [];
  if (!lines.some(other => other.trim() === line))
    throw new Error(`test/mutants/equivalent.mjs: no such line any more: ${key}`);
}
if (values.list) {
  for (const { name, tests } of mutants)
    process.stdout.write(`${name}\n    ${tests.join(' ') || 'no test'}\n`);
  process.exit(0);
}
must(process.execPath, [join(root, 'scripts', 'build.mjs')]);

const homes = Array.from({ length: Math.min(availableParallelism(), mutants.length) }, workspace);
const clean = () => {
  for (const home of homes) rmSync(home, { recursive: true, force: true });
};
process.on('exit', clean);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

const survivors = [];
const broken = new Set();
const wanted = [...new Set(mutants.flatMap(({ tests }) => tests))];
process.stdout.write(`${mutants.length} mutants, ${wanted.length} test files\n`);
/** Works off a list with one worker per workspace. */
async function each(list, work) {
  const rest = [...list];
  await Promise.all(
    homes.map(async home => {
      for (let one = rest.shift(); one !== undefined; one = rest.shift()) await work(one, home);
    }),
  );
}
await each(wanted, async (test, home) => {
  if ((await run(home, test)) !== 'passed') broken.add(test);
});
for (const test of broken) process.stdout.write(`left out, fails without a mutant: ${test}\n`);
await each(mutants, async ({ name, file, apply, tests }, home) => {
  const text = readFileSync(join(root, file), 'utf8');
  await put(home, file, apply(text));
  let by = null;
  for (const test of tests) {
    const end = broken.has(test) ? 'passed' : await run(home, test);
    if (end === 'passed') continue;
    by = { end: end === 'failed' ? 'killed   ' : 'timed out', test };
    break;
  }
  await put(home, file, text);
  if (by === null) survivors.push(name);
  process.stdout.write(by === null ? `SURVIVED ${name}\n` : `${by.end} ${name} (${basename(by.test)})\n`);
});
process.stdout.write(`\n${mutants.length - survivors.length} killed, ${survivors.length} survived\n`);
for (const name of survivors.sort()) process.stdout.write(`survivor: ${name}\n`);
process.exit(survivors.length === 0 && broken.size === 0 ? 0 : 1);
