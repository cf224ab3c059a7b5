// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { commands } from '../src/commands/index.js';
import { call } from './support/in-process.js';
import { peerpod } from './support/program.js';

const names = commands.map(({ command }) => command.split(' ')[0] ?? '');

t.test(
  'without a command the help goes to standard error, and the exit code says wrong command line',
  async t => {
    const { code, stdout, stderr } = await peerpod(t, []);
    t.equal(code, 2);
    t.equal(stdout, '');
    t.match(stderr, /^peerpod: try, drive and inspect/);
  },
);

t.test('asked for, the help goes to standard output and names every command', async t => {
  for (const word of ['help', '-h', '--help']) {
    const { code, stdout, stderr } = await call([word]);
    t.equal(code, 0, word);
    t.equal(stderr, '');
    for (const name of names) t.match(stdout, new RegExp(`^  peerpod ${name} `, 'm'), name);
    t.notOk(stdout.includes('\u001b'), 'no colours in a pipe');
  }
});

t.test('every command has a help of its own with its flags, and help COMMAND is the same', async t => {
  for (const name of names) {
    const { code, stdout, stderr } = await call([name, '-help']);
    t.equal(code, 0, name);
    t.equal(stderr, '', name);
    t.match(stdout, new RegExp(`^Usage: peerpod ${name}`), name);
    t.match(stdout, /Examples:/, name);
  }
  for (const words of [['ps'], ['certs', 'issue'], ['agent', 'list'], ['orphans', 'delete']]) {
    const direct = await call([...words, '-h']);
    const asked = await call(['help', ...words]);
    t.match(direct.stdout, new RegExp(`^Usage: peerpod ${words.join(' ')} `));
    t.equal(asked.stdout, direct.stdout);
  }
  t.match(
    (await call(['help', 'pss'])).stderr,
    /"pss" is no command of peerpod\n {2}did you mean peerpod ps\?/,
  );
});

t.test('the version is a block of three lines', async t => {
  for (const word of ['version', '--version', '-V']) {
    const { code, stdout } = await peerpod(t, [word]);
    t.equal(code, 0);
    t.match(stdout, /^peerpod version .+\n {2}commit: .+\n {2}.+\n$/);
  }
});

t.test('the program itself passes the exit code and the words on', async t => {
  const { code, stdout, stderr } = await peerpod(t, ['crets']);
  t.equal(code, 2);
  t.equal(stdout, '');
  t.equal(stderr, 'peerpod: "crets" is no command of peerpod\n  did you mean peerpod certs?\n');
});

t.test('wrong command lines exit with 2 and say what is wrong and what to do', async t => {
  const rows: readonly (readonly [string[], RegExp])[] = [
    [['crets'], /"crets" is no command of peerpod\n {2}did you mean peerpod certs\?/],
    [['xyzzy'], /"xyzzy" is no command of peerpod\n {2}peerpod help lists the commands/],
    [['-json'], /the command comes before its flags, "-json" does not/],
    [['ps', '-adress', 'x'], /-adress is not a flag of peerpod ps\n {2}did you mean -address\?/],
    [['ps', 'now'], /peerpod ps: "now" is one word too many/],
    [['ps', '-address'], /peerpod ps: -address needs a value\n {2}peerpod ps -help shows how/],
    [['ps', '-address', '-json'], /-address needs a value/],
    [['ps', '-address='], /-address is empty/],
    [['ps', '-json=maybe'], /-json is "maybe", neither true nor false/],
    [['ps', '-no-json'], /-no-json is not a flag/],
    [['ps', '-address.x', 'y'], /-address.x is not a flag/],
    [['certs', 'issue', 'server', '-key-type', 'rsa'], /-key-type is "rsa", which is not one of the choices/],
    [['orphans', 'delet'], /"delet" is nothing that orphans does\n {2}did you mean peerpod orphans delete\?/],
    [['orphans', 'delete'], /orphans delete needs the id of an instance/],
    [['ps', '-address', 'nowhere'], /-address "nowhere" is not host:port/],
    [['ps', '-address', 'x:99999'], /-address "x:99999" is not host:port/],
    [['ps', '--', 'x'], /takes nothing behind --/],
    [['run'], /run needs a command\n {2}put it behind --/],
    [['run', '-env', 'nonsense', '--', 'true'], /-env "nonsense" is not NAME=VALUE/],
    [['run', '-vcpus', 'many', '--', 'true'], /-vcpus/],
    [['stop'], /stop needs the id of a sandbox/],
    [['agent'], /agent needs the method to call/],
    [['agent', 'Chek'], /"Chek" is no method of an agent\n {2}did you mean Check\?/],
    [['agent', 'Check'], /agent needs -sandbox or -socket\n {2}peerpod ps shows/],
    [['agent', 'Check', '-timeout', '5'], /-timeout/],
    [['certs'], /certs needs to know what to do/],
    [['certs', 'inspct'], /"inspct" is nothing that certs does\n {2}did you mean peerpod certs inspect\?/],
    [['certs', 'issue', 'sever'], /"sever" is no kind of certificate/],
    [['certs', 'init'], /certs init needs a directory/],
    [['demo', '-command', 'true', '--', 'true'], /the command is given twice/],
    [['demo', '--'], /there is no command behind --/],
  ];
  for (const [argv, words] of rows) {
    const { code, stdout, stderr } = await call(argv);
    t.equal(code, 2, argv.join(' '));
    t.equal(stdout, '', argv.join(' '));
    t.match(stderr, words, argv.join(' '));
  }
});

t.test('a switch takes the words of Go, a flag given twice counts as last said, and quotes stay', async t => {
  const line = (argv: readonly string[]) => call(['certs', 'init', '-json', ...argv]);
  const dir = t.testdir();
  const quoted = await line([`${dir}/a`, '-common-name', '"my ca" of "ours"', '-days', '1', '-days=3']);
  t.match(JSON.parse(quoted.stdout).certificate.subject, /CN="?\\?"my ca/);
  const again = await line([`${dir}/a`, '-force=0']);
  t.match(again.stderr, /exist already/);
  for (const yes of ['1', 't', 'T', 'TRUE', 'true', 'True']) {
    t.equal((await line([`${dir}/a`, `--force=${yes}`])).code, 0, yes);
  }
});

t.test('the words behind -- are nobody else’s flags', async t => {
  const { code, stderr } = await call([
    'run',
    '-socket',
    '/nowhere/h',
    '-wait',
    '0s',
    '--',
    'x',
    '-json=maybe',
    '--help',
  ]);
  t.equal(code, 125);
  t.match(stderr, /no adaptor at \/nowhere\/h/);
});

t.test('completion is a script, and what it asks for are commands, verbs, flags and choices', async t => {
  t.match((await call(['completion'])).stdout, /^###-begin-peerpod-completions-###/);
  const complete = async (...words: string[]) =>
    (await call(['--get-yargs-completions', 'peerpod', ...words])).stdout.trimEnd().split('\n');
  t.strictSame((await complete('')).sort(), [...names, 'completion'].sort());
  t.strictSame(await complete('certs', ''), ['init', 'issue', 'inspect']);
  t.ok((await complete('ps', '--')).includes('--address'));
  t.ok((await complete('certs', 'issue', '--key-type', '')).includes('ed25519'));
});

t.test('a reader that goes away early is no error to talk about', async t => {
  const program = fileURLToPath(new URL('../bin/peerpod.js', import.meta.url));
  const child = spawn('sh', ['-c', `"${process.execPath}" "${program}" agent list | head -1`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', chunk => (out += chunk));
  child.stderr.on('data', chunk => (err += chunk));
  const [code] = await once(child, 'close');
  t.equal(code, 0);
  t.equal(out, 'grpc.AgentService\n');
  t.equal(err, '');
});

t.test('a lone dash is a word like others', async t => {
  t.match(await call(['ps', '-']), { code: 2, stderr: /"-" is one word too many/ });
  t.match(await call(['agent', 'Check', '-', '-socket', '/nowhere/-']), { code: 1, stderr: /nowhere/ });
});
