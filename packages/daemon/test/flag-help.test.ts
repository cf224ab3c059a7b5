// SPDX-License-Identifier: Apache-2.0
// The help text: everything a person needs, and nothing from the environment.
import t from 'tap';
import { parseFlags } from '../src/flags.js';
import type { Flag } from '../src/flag-types.js';

const flags = {
  socket: {
    type: 'string',
    default: '/run/x.sock',
    env: 'SOCKET',
    describe: 'the socket',
    placeholder: 'PATH',
    group: 'Paths',
  },
  password: { type: 'string', default: 'changeme', secret: true, env: 'PASSWORD', describe: 'the password' },
  quiet: { type: 'boolean', default: true, describe: 'say nothing', alias: 'q' },
  wait: { type: 'duration', default: '90s', describe: `wait ${'very '.repeat(30)}long` },
  level: { type: 'choice', choices: ['low', 'high'], default: 'low', describe: 'how high' },
  names: { type: 'list', default: ['a', 'b'], describe: 'which' },
  old: { type: 'integer', hidden: true, describe: 'not talked about' },
} as const satisfies Record<string, Flag>;

const env = { SOCKET: '/from/environment', PASSWORD: 'hunter2' };
const help = parseFlags({
  program: 'p',
  usage: 'p [flags]',
  flags,
  argv: ['-h'],
  env,
  epilogue: 'See the manual.',
});
const text = help.t === 'help' ? help.text : '';

t.test('flags, defaults, choices and variables are there, under their headings', async t => {
  for (const part of [
    'Usage: p [flags]',
    'Paths:',
    'Flags:',
    '-socket PATH',
    '(default /run/x.sock) [SOCKET]',
    '-q, -quiet',
    '(default true)',
    '-wait DURATION',
    '(default 1m30s)',
    '-level low|high',
    '(default a,b)',
    '[PASSWORD]',
    'See the manual.',
  ]) {
    t.ok(text.includes(part), part);
  }
});

t.test('no value from the environment and no default of a secret is shown', async t => {
  t.notMatch(text, /hunter2|from\/environment|changeme/);
});

t.test('a hidden flag is left out', async t => {
  t.notMatch(text, /not talked about|-old/);
});

t.test('lines fit in a hundred columns', async t => {
  for (const line of text.split('\n')) t.ok(line.length <= 100, line);
});
