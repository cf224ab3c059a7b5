// SPDX-License-Identifier: Apache-2.0
// The shipped example scripts, run as the adaptor runs them, at the moments between two of their steps.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const examples = fileURLToPath(new URL('../../examples/exec', import.meta.url));

t.test('a machine that is being made or removed breaks no list', async t => {
  const machines = t.testdir();
  const machine = (id: string, files: Record<string, string>): void => {
    mkdirSync(join(machines, id));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(machines, id, name), text);
  };
  const whole = { owner: 'me', name: 'podvm', token: 'abc' };
  machine('0123456789ab', whole);
  machine('111111111111', { ...whole, owner: 'somebody else' });
  // What create-processes.sh leaves when it is killed after each of its first steps.
  machine('222222222222', {});
  machine('333333333333', { owner: 'me' });
  machine('444444444444', { owner: 'me', name: 'podvm' });
  machine('555555555555', { owner: 'me', name: 'podvm', 'token.new': 'a' });
  // What is there while delete.sh removes a machine, file by file.
  machine('666666666666', { token: 'abc' });
  machine('777777777777', { owner: 'me', token: 'abc' });
  machine('888888888888', { name: 'podvm', token: 'abc' });
  const answer = execFileSync('env', ['-u', 'NODE_OPTIONS', `${examples}/list.sh`], {
    input: JSON.stringify({ owner: 'me' }),
    env: { ...process.env, PEERPOD_EXAMPLE_DIR: machines },
    encoding: 'utf8',
  });
  t.strictSame(JSON.parse(answer), {
    instances: [{ id: '0123456789ab', name: 'podvm', token: 'abc' }],
  });
});

t.test('a machine has its token last and whole', async t => {
  const machines = t.testdir();
  // A program in the place of Node, which hands on the field and shows what is there when the token is asked for.
  const node = join(machines, 'node');
  writeFileSync(
    node,
    `#!/bin/sh\nfor last; do :; done\n[ "$last" != userData ] || { ls "$PEERPOD_EXAMPLE_DIR"/*/ >&2; exit 7; }\n` +
      `[ "$last" != token ] || ls "$PEERPOD_EXAMPLE_DIR"/*/ >&2 2>/dev/null || true\nexec "$REAL_NODE" "$@"\n`,
    { mode: 0o755 },
  );
  const { status, stderr } = spawnSync('env', ['-u', 'NODE_OPTIONS', `${examples}/create-processes.sh`], {
    input: JSON.stringify({ owner: 'me', name: 'podvm', token: 'abc', userData: '' }),
    env: { ...process.env, PEERPOD_EXAMPLE_DIR: machines, PEERPOD_NODE: node, REAL_NODE: process.execPath },
    encoding: 'utf8',
  });
  t.equal(status, 7);
  t.match(stderr, /^name\nowner\ntoken\.new\n(.|\n)*^fs\nname\nowner\ntoken\n$/m);
});
