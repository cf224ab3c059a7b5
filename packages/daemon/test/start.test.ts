// SPDX-License-Identifier: Apache-2.0
// How a program starts and ends, as processes that load the built module.
import t from 'tap';
import { spawnSync } from 'node:child_process';

const start = new URL('../dist/start.js', import.meta.url).href;

function ran(program: string) {
  const source = `import { startProgram } from ${JSON.stringify(start)}; ${program}`;
  const env = { ...process.env, NODE_OPTIONS: '' };
  return spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8', env });
}

t.test('a program ends with the code of its main function, at once where it wants that', async t => {
  t.equal(ran(`startProgram('p', async () => 7)`).status, 7);
  t.equal(ran(`startProgram('p', async () => (setTimeout(() => {}, 20), 0))`).status, 0);
  const began = performance.now();
  t.equal(
    ran(`startProgram('p', async () => (setTimeout(() => {}, 60_000), 3), code => process.exit(code))`)
      .status,
    3,
  );
  t.ok(performance.now() - began < 30_000);
});

t.test('what a main function throws ends the process with its stack', async t => {
  const { status, stderr } = ran(`startProgram('p', async () => { throw new Error('unforeseen') })`);
  t.equal(status, 1);
  t.match(stderr, /Error: unforeseen\n +at /);
});

t.test('a main function that waits for what never comes is no success', async t => {
  t.equal(ran(`startProgram('p', () => new Promise(() => {}))`).status, 13);
});

t.test('what every program loads does not load HTTP, which takes 2 ms of a start', async t => {
  const index = new URL('../dist/index.js', import.meta.url).href;
  const { status, stdout } = ran(
    `await import(${JSON.stringify(index)}); console.log(process.moduleLoadList.join(' '))`,
  );
  t.equal(status, 0);
  t.match(stdout, /NativeModule net\b/, 'the list tells');
  t.notMatch(stdout, /NativeModule http\b/);
});

t.test('a Node.js that is refused is told so in a line, and nothing is loaded', async t => {
  const { status, stdout, stderr } = ran(
    `Object.defineProperty(process, 'version', { value: 'v18.20.8' });
    startProgram('p', async () => (console.log('loaded'), 0))`,
  );
  t.match(
    { status, stdout, stderr },
    { status: 1, stdout: '', stderr: /^p: Node\.js 18\.20\.8 is too old.*\n$/ },
  );
});
