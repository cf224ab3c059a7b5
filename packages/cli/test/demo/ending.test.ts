// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { findMarked } from '../../src/demo/sweep.js';
import { peerpod } from '../support/program.js';
import { leftovers, nothing, startDemo, untilNothingIsLeft } from '../support/demo.js';

/** Pids of the demo's processes whose command line names this program. */
function pidsOf(dir: string, program: string): number[] {
  return findMarked(dir).filter(pid => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(program);
    } catch {
      return false;
    }
  });
}

t.test('Ctrl-C ends a serving demo with exit code 0, together with sandboxes that others made', async t => {
  const { program, base, dir } = startDemo(t, ['--', 'true']);
  await program.said(/✓ exit +code 0/u);
  const made = await dir();
  const socket = `${made}/hypervisor.sock`;
  const detached = await peerpod(t, ['run', '-detach', '-json', '-socket', socket, '--', 'sleep', '600']);
  t.equal(detached.code, 0, detached.stderr);
  t.match(readdirSync(`${made}/pods`), [/^demo$/, /^peerpod-run-/]);
  await program.said(/adaptor: .*sandbox=peerpod-run-/);
  program.child.kill('SIGINT');
  const { code } = await program.ended;
  t.equal(code, 0);
  t.match(program.stdout, /✓ end +everything is stopped and removed/);
  t.same(leftovers(made, base), nothing);
});

t.test('what a serving demo says to try works as it is printed, from any directory', async t => {
  const { program } = startDemo(t, ['--json', '--', 'true']);
  const [, found = '[]'] = await program.said(/"t":"hints","commands":(\[.*\])\}/u);
  const commands: unknown = JSON.parse(found);
  if (!Array.isArray(commands)) throw new Error('no hints');
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

t.test('SIGTERM while the pod VM starts ends everything with exit code 143', async t => {
  const { program, base, dir } = startDemo(t, []);
  await program.said(/✓ CreateVM/u);
  const made = await dir();
  program.child.kill('SIGTERM');
  const { code } = await program.ended;
  t.equal(code, 143);
  t.same(leftovers(made, base), nothing);
  t.notMatch(program.stderr, /Error|at .*\.js/);
});

t.test('a second Ctrl-C does not wait for the first, and leaves nothing either', async t => {
  const { program, base, dir } = startDemo(t, [
    '--command',
    "trap '' TERM; echo stubborn; while :; do sleep 1; done",
  ]);
  await program.said(/│ stubborn/u);
  const made = await dir();
  program.child.kill('SIGINT');
  program.child.kill('SIGINT');
  const { code } = await program.ended;
  t.equal(code, 130);
  t.same(leftovers(made, base), nothing);
});

t.test('a demo that is killed leaves nothing, since its reaper sees that', async t => {
  const { program, base, dir } = startDemo(t, ['--command', 'echo up; sleep 600']);
  await program.said(/│ up/u);
  const made = await dir();
  t.ok(findMarked(made).length >= 4, 'adaptor, VM leader, forwarder, agent and the command carry the mark');
  program.child.kill('SIGKILL');
  await program.ended;
  await untilNothingIsLeft(made, base);
  t.same(leftovers(made, base), nothing);
});

t.test('when the adaptor dies the demo says so, clears away what is left and exits with 1', async t => {
  const { program, base, dir } = startDemo(t, ['--', 'true']);
  await program.said(/✓ exit +code 0/u);
  const made = await dir();
  for (const pid of pidsOf(made, 'cloud-api-adaptor')) process.kill(pid, 'SIGKILL');
  const { code } = await program.ended;
  t.equal(code, 1);
  t.match(program.stderr, /peerpod demo: cloud-api-adaptor ended by itself \(signal SIGKILL\)/);
  t.same(leftovers(made, base), nothing);
});

t.test('when the adaptor dies while the demo serves it is told just so, and the demo ends', async t => {
  const { program, base, dir } = startDemo(t, ['--json', '--', 'true']);
  await program.said(/"t":"live"/u);
  const made = await dir();
  for (const pid of pidsOf(made, 'cloud-api-adaptor')) process.kill(pid, 'SIGKILL');
  const { code } = await program.ended;
  t.equal(code, 1);
  t.match(program.stderr, /cloud-api-adaptor ended by itself \(signal SIGKILL\)/);
  t.same(leftovers(made, base), nothing);
});

t.test('when the reader of its output goes away the demo ends quietly', async t => {
  const { program, base, dir } = startDemo(t, [
    '--command',
    'echo first; sleep 1; while :; do echo more; sleep 0.05; done',
  ]);
  await program.said(/│ first/u);
  const made = await dir();
  program.child.stdout?.destroy();
  const { code } = await program.ended;
  t.equal(code, 141);
  t.equal(program.stderr, '');
  t.same(leftovers(made, base), nothing);
});
