// SPDX-License-Identifier: Apache-2.0
// Runs one suite under tap and ends with a line `N passed, N failed, N skipped`. Suites: `fast` (the default) and
// `system` need Node alone; the heavier ones skip with a reason where what they need is absent. Further arguments go to tap.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { must, root, run, tool } from './steps.mjs';

const suites = ['fast', 'system', 'interop', 'docker', 'vm'];
const args = process.argv.slice(2);
const at = args.indexOf('--suite');
const suite = at === -1 ? 'fast' : (args.splice(at, 2)[1] ?? '');
if (!suites.includes(suite)) {
  process.stderr.write(`--suite is ${JSON.stringify(suite)}, not one of ${suites.join(', ')}\n`);
  process.exit(2);
}

/** All test files of the suite: a folder named after a heavier suite belongs to that suite alone. */
function testFiles(folder, into = []) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!['node_modules', 'fixtures', 'bench', 'dist', 'gen'].includes(entry.name)) testFiles(path, into);
    } else if (entry.name.endsWith('.test.ts')) into.push(relative(root, path));
  }
  return into;
}
const belongs = file => (suites.slice(1).find(name => file.split('/').includes(name)) ?? 'fast') === suite;
const all = ['packages', 'test'].flatMap(folder => testFiles(join(root, folder)));
const files = args.some(arg => arg.endsWith('.test.ts')) ? [] : all.filter(belongs);

// tap keeps the class it hands to tests in .tap; it must be made once after an install.
const prepared = join(root, '.tap', 'test');
if (!existsSync(prepared) || statSync(prepared).mtimeMs < statSync(join(root, '.taprc')).mtimeMs) {
  must(tool('tap'), ['build'], { stdio: ['ignore', 'ignore', 'inherit'] });
}

const output = join(root, '.tap', `${suite}.tap`);
mkdirSync(join(root, '.tap'), { recursive: true });
rmSync(output, { force: true });
const reporter = process.stdout.isTTY ? 'base' : 'terse';
// Two emulated machines at once are slower than one after the other.
const jobs = suite === 'vm' ? ['--jobs=1'] : [];
const code = run(
  tool('tap'),
  [...jobs, `--reporter=${reporter}`, `--output-file=${output}`, ...args, ...files],
  {
    env: { ...process.env, PEERPOD_SUITE: suite },
  },
);

const counts = {
  pass: 0,
  fail: 0,
  skip: 0,
  ...summary(existsSync(output) ? readFileSync(output, 'utf8') : ''),
};
// tap may end on a terminal code without a line end: the counts start a line of their own.
process.stdout.write(`\n${counts.pass} passed, ${counts.fail} failed, ${counts.skip} skipped\n`);
process.exit(code === 0 && counts.pass + counts.skip === 0 ? 1 : code);

/** Numbers of the last summary line of a TAP stream, `# { total: 9, pass: 8, skip: 1 }`. */
function summary(tap) {
  const last = tap.match(/^# \{.*\}$/gm)?.at(-1) ?? '';
  return Object.fromEntries(
    [...last.matchAll(/(\w+): (\d+)/g)].map(([, key, value]) => [key, Number(value)]),
  );
}
