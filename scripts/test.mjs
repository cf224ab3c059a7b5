// SPDX-License-Identifier: Apache-2.0
// Runs one suite under tap, names every failed assertion, and ends with a line `N passed, N failed, N skipped`. Suites: `fast` (the default) and
// `system` need Node alone; the heavier ones skip with a reason where what they need is absent. Folders take the suite's tests
// below them alone; further arguments go to tap.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { failures } from './failures.mjs';
import { must, root, run, tool } from './steps.mjs';
import { translateAll } from './typescript/cache.mjs';

const suites = ['fast', 'system', 'interop', 'docker', 'vm'];
const args = process.argv.slice(2);
const at = args.indexOf('--suite');
const suite = at === -1 ? 'fast' : (args.splice(at, 2)[1] ?? '');
if (!suites.includes(suite)) {
  process.stderr.write(`--suite is ${JSON.stringify(suite)}, not one of ${suites.join(', ')}\n`);
  process.exit(2);
}

/** All TypeScript files below a folder that are not generated. */
function typescriptFiles(folder, into = []) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!['node_modules', 'dist', 'gen'].includes(entry.name)) typescriptFiles(path, into);
    } else if (/(?<!\.d)\.ts$/.test(entry.name)) into.push(path);
  }
  return into;
}
/** Whether a file is a test of the suite: a folder named after a heavier suite belongs to that suite alone. */
function belongs(file) {
  const folders = file.split('/');
  if (!file.endsWith('.test.ts') || folders.includes('fixtures') || folders.includes('bench')) return false;
  return (suites.slice(1).find(name => folders.includes(name)) ?? 'fast') === suite;
}
const given = args.filter(arg => statSync(join(root, arg), { throwIfNoEntry: false })?.isDirectory());
const folders = given.map(folder => `${relative(root, join(root, folder))}/`);
for (const folder of given) args.splice(args.indexOf(folder), 1);
const sources = ['packages', 'test'].flatMap(folder => typescriptFiles(join(root, folder)));
const files =
  folders.length === 0 && args.some(arg => arg.endsWith('.test.ts'))
    ? []
    : sources
        .map(path => relative(root, path))
        .filter(file => belongs(file) && (folders.length === 0 || folders.some(one => file.startsWith(one))));
// Without a file tap would run whatever it finds.
if (folders.length > 0 && files.length === 0) {
  process.stderr.write(
    `no test of the suite ${suite} is below ${folders.join(', ')}; --suite names another\n`,
  );
  process.exit(2);
}
await translateAll(sources);

// tap makes the class that it hands to tests of the plugins in .taprc, inside its own package: once after an install, and
// when the list changes.
const made = join(root, 'node_modules', '.cache', 'tap-made-for');
const wanted = readFileSync(join(root, '.taprc'), 'utf8');
if (!existsSync(made) || readFileSync(made, 'utf8') !== wanted) {
  must(tool('tap'), ['build'], { stdio: ['ignore', 'ignore', 'inherit'] });
  mkdirSync(dirname(made), { recursive: true });
  writeFileSync(made, wanted);
}

const output = join(root, '.tap', `${suite}.tap`);
mkdirSync(join(root, '.tap'), { recursive: true });
rmSync(output, { force: true });
const reporter = process.stdout.isTTY ? 'base' : 'terse';
// Two emulated machines at once are slower than one after the other. The fast suite waits as well as it computes, so that a
// third file fills what two leave of two cores; in the others a claim about time wants its quiet.
const jobs = suite === 'vm' ? ['--jobs=1'] : suite === 'fast' ? ['--jobs=3'] : [];
const code = run(
  tool('tap'),
  [...jobs, `--reporter=${reporter}`, `--output-file=${output}`, ...args, ...files],
  {
    // What reads lend is overwritten once it was read, so that a test fails where it is kept.
    env: { PEERPOD_LENT_READS: 'poison', ...process.env, PEERPOD_SUITE: suite },
  },
);

const tap = existsSync(output) ? readFileSync(output, 'utf8') : '';
const counts = { pass: 0, fail: 0, skip: 0, ...summary(tap) };
// tap may end on a terminal code without a line end: what follows starts a line of its own.
process.stdout.write('\n');
for (const name of failures(tap)) process.stdout.write(`failed: ${name}\n`);
process.stdout.write(`${counts.pass} passed, ${counts.fail} failed, ${counts.skip} skipped\n`);
process.exit(code === 0 && counts.pass + counts.skip === 0 ? 1 : code);

/** Numbers of the last summary line of a TAP stream, `# { total: 9, pass: 8, skip: 1 }`. */
function summary(tap) {
  const last = tap.match(/^# \{.*\}$/gm)?.at(-1) ?? '';
  return Object.fromEntries(
    [...last.matchAll(/(\w+): (\d+)/g)].map(([, key, value]) => [key, Number(value)]),
  );
}
