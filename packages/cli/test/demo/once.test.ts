// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import t from 'tap';
import { Peerpod, shortDirectory } from '../support/program.js';
import { findMarked } from '../../src/demo/sweep.js';
import { leftovers, nothing, startDemo } from '../support/demo.js';

t.test(
  'the demo tells every step in plain lines, shows what the command prints, and leaves nothing',
  async t => {
    const { program, base, dir } = startDemo(t, [
      '--once',
      '--',
      'sh',
      '-c',
      'echo to stdout; echo to stderr >&2',
    ]);
    const made = await dir();
    t.equal(statSync(made).mode & 0o777, 0o700, 'the directory is private');
    const { code } = await program.ended;
    t.equal(code, 0);
    t.same(leftovers(made, base), nothing);
    const text = program.stdout;
    t.equal(program.stderr, '');
    t.notOk(text.includes('\u001b'), 'no escape sequences in a pipe');
    const steps = ['adaptor', 'identity', 'CreateVM', 'StartVM', 'certificate', 'agent', 'stranger'];
    const found = [...steps, 'command', 'exit', 'end'].map(step =>
      text.search(new RegExp(`✓ ${step} `, 'u')),
    );
    t.same(
      found,
      [...found].sort((a, b) => a - b),
      'in the order in which they happen',
    );
    t.notOk(found.includes(-1), 'all of them');
    t.match(text, /✓ certificate O=.+, CN=podvm-hello-demo, ends in 730 days/);
    t.match(text, /sha256 [0-9a-f]{16}…/);
    t.match(text, /podvm-hello-demo at 127\.\d+\.\d+\.\d+/);
    t.match(text, /it proved to be podvm-hello-demo, and its agent answered through the link/);
    t.match(text, /a call without a certificate got no answer\n +VM: .*spoke plain ttrpc/s);
    t.match(text, /│ to stdout\n/);
    t.match(text, /│ to stderr\n/);
    t.match(text, /✓ exit +code 0/);
    t.notMatch(text, /PRIVATE KEY|BEGIN CERT/);
  },
);

t.test(
  '-json makes every line an object, a failing command exit code 1, and -keep-dir keeps files alone',
  async t => {
    const dir = `${shortDirectory(t)}/kept`;
    const program = new Peerpod(t, [
      'demo',
      '--json',
      '--once',
      '-keep-dir',
      dir,
      '--',
      'sh',
      '-c',
      'printf ünï; exit 7',
    ]);
    const { code } = await program.ended;
    t.equal(code, 1, program.stderr);
    const lines = program.stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
    t.match(
      lines.find(line => line.step === 'startvm'),
      { t: 'step', ok: true, name: 'podvm-hello-demo', serverName: 'podvm-hello-demo' },
    );
    t.match(
      lines.find(line => line.step === 'adaptor'),
      { provider: 'local', mode: 'automatic' },
    );
    const output = lines.filter(line => line.t === 'output');
    t.equal(output.map(line => line.text).join(''), 'ünï');
    t.match(
      lines.find(line => line.step === 'exit'),
      { code: 7, ok: false },
    );
    t.same(findMarked(dir), []);
    t.match(readFileSync(`${dir}/adaptor.log`, 'utf8'), /^\{.*"sandbox":"demo"/m);
    t.same(
      readdirSync(`${dir}/vm`).filter(name => existsSync(`${dir}/vm/${name}/pid`)),
      [],
      'the VM itself is deleted',
    );
  },
);

t.test('a directory that is not empty is not taken for -keep-dir', async t => {
  const dir = shortDirectory(t);
  const first = new Peerpod(t, [
    'demo',
    '--once',
    '-keep-dir',
    `${dir}/a/very/long/way/down/below/the/temporary/directory`,
  ]);
  t.equal((await first.ended).code, 1);
  t.match(first.stderr, /is too long for the sockets in it/);
  const second = new Peerpod(t, ['demo', '--once', '-keep-dir', '/']);
  t.equal((await second.ended).code, 1);
  t.match(second.stderr, /-keep-dir \/ is not empty\n {2}take a new directory/);
});

t.test('what a serving demo says to try works as it is printed, from any directory', async t => {
  const { program } = startDemo(t, ['--json']);
  const [, found = '[]'] = await program.said(/"t":"hints","commands":(\[.*\])\}/u);
  const commands: unknown = JSON.parse(found);
  if (!Array.isArray(commands)) throw new Error('no hints');
  const shown = program.stdout.split('\n').filter(line => line.includes('"t":"output"'));
  const above = shown.map(line => String(JSON.parse(line).text)).join('');
  t.match(
    above,
    /above me are\n {2}\d+ {2}peerpod-dev-agent\S*\n {2}\d+ {2}vm\.js\non addresses/,
    'and no further',
  );
  t.ok(commands.length > 3);
  for (const command of commands.map(String)) {
    const child = spawn('env', ['-u', 'NODE_OPTIONS', 'sh', '-c', command], {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (text += chunk));
    const [code] = await once(child, 'close');
    // The VM asks openssl for a certificate, which it has not got.
    if (command.startsWith('openssl'))
      t.match(text, /Acceptable client certificate CA names|alert/u, command);
    else t.equal(code, 0, `${command}: ${text}`);
  }
});
