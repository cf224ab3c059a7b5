// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { lastLines } from '../../src/host/last-lines.js';
import { ConsoleLog, condense, whyItEnded } from '../../src/local/console.js';

t.test('chunks become lines with their source, cut where they would never end', async t => {
  const path = join(t.testdir(), 'console.log');
  const write = new ConsoleLog(path).lines('agent');
  write('one\ntw');
  write('o\n\n');
  write('x'.repeat(10_000));
  write('\n');
  const text = readFileSync(path, 'utf8');
  t.match(text, /^\S+Z agent: one\n\S+Z agent: two\n\S+Z agent: x{8192}\n$/);
  t.equal(statSync(path).mode & 0o777, 0o600);
});

t.test('the log stays bounded and keeps its newest part', async t => {
  const dir = t.testdir();
  const path = join(dir, 'console.log');
  const log = new ConsoleLog(path, 1000);
  for (let n = 0; n < 200; n += 1) log.write('vm', `line ${n}`);
  t.same(readdirSync(dir).sort(), ['console.log', 'console.log.1']);
  t.ok(statSync(path).size <= 1000 && statSync(`${path}.1`).size <= 1000);
  t.match(await lastLines(path, 2), /^\S+ vm: line 198\n\S+ vm: line 199$/);
});

t.test(
  'a log that cannot be written loses lines, not its writer; one that is not there is empty',
  async t => {
    const nowhere = join(t.testdir(), 'no/such/console.log');
    new ConsoleLog(nowhere).write('vm', 'lost');
    t.equal(await lastLines(nowhere, 5), '');
  },
);

t.test('for an error message log lines are cut to what was said', async t => {
  const lines = [
    '2026 vm: booting',
    '2026 forwarder: {"level":"error","pid":1,"err":{"message":"no luck"},"msg":"start failed"}',
    '2026 agent: {"level":"info","msg":"up"}',
    '2026 agent: {broken}',
    'no stamp',
  ];
  t.same(condense(lines.join('\n')).split('\n'), [
    '2026 vm: booting',
    '2026 forwarder: error, start failed, no luck',
    '2026 agent: info, up',
    '2026 agent: {broken}',
    'no stamp',
  ]);
});

t.test('a VM that ended says which program ended it, in that program own words', async t => {
  const lines = [
    '2026 vm: booting',
    '2026 agent: {"level":"info","msg":"up"}',
    '2026 forwarder: agent-protocol-forwarder: no server certificate',
    '2026 forwarder:   in manual mode give -cert-file',
    '2026 vm: powering off: forwarder exited with code 1',
    '2026 vm: off',
  ].join('\n');
  t.equal(
    whyItEnded(lines),
    'forwarder exited with code 1; agent-protocol-forwarder: no server certificate; in manual mode give -cert-file',
  );
  t.equal(whyItEnded('2026 vm: powering off: asked to power off'), 'asked to power off');
  t.equal(whyItEnded('2026 vm: booting'), null);
  t.equal(whyItEnded(''), null);
});
