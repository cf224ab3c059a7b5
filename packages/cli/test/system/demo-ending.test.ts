// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync } from 'node:fs';
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
  await program.said(/in another terminal/);
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
