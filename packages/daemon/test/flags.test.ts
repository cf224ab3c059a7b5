// SPDX-License-Identifier: Apache-2.0
// The grammar of flags: Go's, with every mistake told apart.
import { array, assert, constantFrom, integer, oneof, property, string } from 'fast-check';
import t from 'tap';
import { UsageError } from '../src/errors.js';
import type { Flag } from '../src/flag-types.js';
import { parseFlags } from '../src/flags.js';

const flags = {
  socket: {
    type: 'string',
    default: '/run/x.sock',
    env: 'SOCKET',
    describe: 'the socket',
    placeholder: 'PATH',
  },
  'cert-key': { type: 'string', describe: 'a key file' },
  prefix: { type: 'string', emptyOk: true, describe: 'may be empty' },
  pin: { type: 'string', secret: true, env: 'PIN', describe: 'a secret' },
  'disable-tls': { type: 'boolean', env: 'DISABLE_TLS', describe: 'no TLS' },
  limit: { type: 'integer', default: 10, min: -1, max: 100, env: 'LIMIT', describe: 'how many' },
  'proxy-timeout': {
    type: 'duration',
    default: '5m',
    min: '1s',
    env: 'PROXY_TIMEOUT',
    describe: 'how long',
    alias: 't',
  },
  cidrs: { type: 'list', env: 'CIDRS', describe: 'which' },
  mode: { type: 'choice', choices: ['fast', 'safe'], default: 'safe', describe: 'how' },
} as const satisfies Record<string, Flag>;

function parse(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const result = parseFlags({ program: 'prog', usage: 'prog [flags]', flags, argv, env });
  if (result.t !== 'flags') throw new Error('help was not asked for');
  return result;
}

t.test('without words every flag has its default, and says so', async t => {
  const { values, origin, rest } = parse([]);
  t.strictSame(values, {
    socket: '/run/x.sock',
    'cert-key': undefined,
    prefix: undefined,
    pin: undefined,
    'disable-tls': false,
    limit: 10,
    'proxy-timeout': 300_000,
    cidrs: [],
    mode: 'safe',
  });
  t.ok(Object.values(origin).every(from => from === 'default'));
  t.strictSame(rest, []);
  // These lines are checked by the compiler: a default takes `undefined` out of the type.
  const socket: string = values.socket;
  const key: string | undefined = values['cert-key'];
  const mode: 'fast' | 'safe' = values.mode;
  t.strictSame([socket, key, mode], ['/run/x.sock', undefined, 'safe']);
});

t.test('one dash or two, a space or an equals sign: all the same', async t => {
  for (const argv of [['-socket', '/a'], ['--socket', '/a'], ['-socket=/a'], ['--socket=/a']]) {
    const { values, origin } = parse(argv);
    t.equal(values.socket, '/a');
    t.equal(origin.socket, 'command-line');
  }
});

t.test('a boolean is bare or has an equals sign, with the words of Go', async t => {
  t.equal(parse(['-disable-tls']).values['disable-tls'], true);
  for (const word of ['1', 't', 'T', 'TRUE', 'true', 'True']) {
    t.equal(parse([`--disable-tls=${word}`]).values['disable-tls'], true, word);
  }
  for (const word of ['0', 'f', 'F', 'FALSE', 'false', 'False']) {
    t.equal(parse([`-disable-tls=${word}`]).values['disable-tls'], false, word);
  }
  for (const word of ['yes', 'on', 'tRue', '', '2']) {
    t.throws(
      () => parse([`-disable-tls=${word}`]),
      { code: 'ERR_USAGE', message: /-disable-tls.*neither true nor false/ },
      word,
    );
  }
});

t.test(
  'a bare boolean does not swallow the next word, which is refused with the way to write it',
  async t => {
    t.throws(() => parse(['-disable-tls', 'false']), {
      code: 'ERR_USAGE',
      message: /"false" after -disable-tls/,
      hint: /-disable-tls=false/,
    });
  },
);

t.test('values arrive exactly as written, whatever they look like', async t => {
  const odd = [
    '',
    '"q"',
    "'q'",
    '-x',
    '--',
    'a=b',
    '0x10',
    '007',
    '1e3',
    'true',
    'a b',
    'é\n',
    '[]',
    '{}',
    '__proto__',
    ':',
    '=',
  ];
  for (const value of odd) {
    t.equal(parse([`-prefix=${value}`]).values.prefix, value, JSON.stringify(value));
    t.equal(
      parse(['-prefix=first', `--prefix=${value}`]).values.prefix,
      value,
      `last wins: ${JSON.stringify(value)}`,
    );
    if (!value.startsWith('-'))
      t.equal(parse(['-prefix', value]).values.prefix, value, `two words: ${JSON.stringify(value)}`);
  }
});

t.test('a negative number needs no equals sign', async t => {
  t.equal(parse(['-limit', '-1']).values.limit, -1);
});

t.test('the command line wins over the environment, which wins over the default', async t => {
  t.equal(parse([], { SOCKET: '/env' }).values.socket, '/env');
  t.equal(parse([], { SOCKET: '/env' }).origin.socket, 'environment');
  t.equal(parse(['-socket=/flag'], { SOCKET: '/env' }).values.socket, '/flag');
  t.equal(parse([], { SOCKET: '' }).values.socket, '/run/x.sock', 'an empty variable counts as unset');
  t.equal(
    parse([], { DISABLE_TLS: 'True\n' }).values['disable-tls'],
    true,
    "a newline at the end is nobody's intent",
  );
});

t.test('lists append: environment, then flags', async t => {
  t.strictSame(parse(['-cidrs', 'c', '-cidrs=d, e'], { CIDRS: 'a,b' }).values.cidrs, [
    'a',
    'b',
    'c',
    'd',
    'e',
  ]);
});

t.test('an alias names the same flag', async t => {
  t.equal(parse(['-t', '3s']).values['proxy-timeout'], 3000);
});

t.test('each wrong value is refused with the flag or variable, the value and the way out', async t => {
  const rows: readonly [argv: readonly string[], env: NodeJS.ProcessEnv, message: RegExp, hint: RegExp][] = [
    [['-limit=abc'], {}, /^-limit is "abc", not a whole number$/, /-1 or more, at most 100/],
    [['-limit=1.5'], {}, /not a whole number/, /whole number/],
    [['-limit=010'], {}, /octal/, /leading zero/],
    [['-limit=101'], {}, /out of range/, /at most 100/],
    [['-limit=-2'], {}, /out of range/, /-1 or more/],
    [['-limit='], {}, /not a whole number/, /whole number/],
    [[], { LIMIT: '10abc' }, /^LIMIT \(environment\) is "10abc"/, /whole number/],
    [['-proxy-timeout=10'], {}, /^-proxy-timeout is "10", not a duration$/, /like 10s or 10m/],
    [['-proxy-timeout', '5 minutes'], {}, /not a duration/, /90s, 5m or 1h30m/],
    [['-proxy-timeout=1ms'], {}, /too short/, /1s is the shortest/],
    [['-proxy-timeout=9999h'], {}, /too long/, /longest/],
    [['-proxy-timeout=-5s'], {}, /too short/, /1s/],
    [[], { PROXY_TIMEOUT: '10' }, /^PROXY_TIMEOUT \(environment\) is "10", not a duration$/, /10s/],
    [[], { DISABLE_TLS: 'yes' }, /^DISABLE_TLS \(environment\) is "yes"/, /true or false/],
    [['-socket='], {}, /^-socket is empty$/, /leave it out for \/run\/x\.sock/],
    [['-socket', ''], {}, /^-socket is empty$/, /leave it out/],
    [['-socket=a\0b'], {}, /zero byte/, /text/],
    [['-cidrs=a,,b'], {}, /empty place/, /one comma/],
    [['-cidrs='], {}, /empty list/, /leave it out/],
    [['-mode=saef'], {}, /^-mode is "saef"/, /did you mean safe\? the choices are fast, safe/],
    [['-socket'], {}, /^-socket needs a value$/, /-socket=VALUE/],
    [['-cert-key', '-disable-tls'], {}, /next word is the flag -disable-tls/, /-cert-key=-disable-tls/],
    [['-sokcet', 'x'], {}, /^-sokcet is not a flag of prog$/, /did you mean -socket\?.*"prog -help"/],
    [['-zzzzzz'], {}, /not a flag/, /^"prog -help" lists the flags$/],
    [['--DISABLE_TLS'], {}, /not a flag/, /did you mean -disable-tls/],
    [['-__proto__=x'], {}, /not a flag/, /lists the flags/],
    [['word'], {}, /"word" belongs to no flag/, /before other words/],
    [['-'], {}, /"-" belongs to no flag/, /dash/],
    [['--', '-socket'], {}, /"-socket" belongs to no flag/, /dash/],
    // Overridden on the command line, and wrong all the same.
    [['-limit=1'], { LIMIT: 'x' }, /^LIMIT \(environment\)/, /whole number/],
  ];
  for (const [argv, env, message, hint] of rows) {
    t.throws(
      () => parse(argv, env),
      { name: 'UsageError', code: 'ERR_USAGE', message, hint },
      JSON.stringify([argv, env]),
    );
  }
});

t.test('a wrong secret is not shown', async t => {
  try {
    parse([], { PIN: 'hunter2\0' });
    t.fail('accepted');
  } catch (error) {
    t.notMatch(String(error), /hunter2/);
    t.match(String(error), /PIN \(environment\)/);
  }
});

t.test('words after the flags are given back when the program takes them', async t => {
  const spec = {
    program: 'p',
    usage: 'p',
    flags,
    env: {},
    positionals: { min: 1, max: 2, describe: 'a method name' },
  };
  const result = parseFlags({ ...spec, argv: ['-disable-tls', 'Check', '{}'] });
  t.strictSame(result.t === 'flags' && result.rest, ['Check', '{}']);
  const dashed = parseFlags({ ...spec, argv: ['--', '-x'] });
  t.strictSame(dashed.t === 'flags' && dashed.rest, ['-x'], 'after -- a dash is an ordinary letter');
  t.throws(() => parseFlags({ ...spec, argv: [] }), { code: 'ERR_USAGE', message: 'p needs a method name' });
  t.throws(() => parseFlags({ ...spec, argv: ['a', 'b', 'c'] }), {
    code: 'ERR_USAGE',
    message: /"c" belongs to no flag/,
  });
});

t.test('help is asked for with one dash or two, short or long, and comes before later mistakes', async t => {
  for (const word of ['-h', '-help', '--help', '--h']) {
    const result = parseFlags({
      program: 'p',
      usage: 'p [flags]',
      flags,
      argv: [word, '-nonsense'],
      env: {},
    });
    t.equal(result.t, 'help');
  }
});

t.test(
  'the version is asked for by flag or word, and is that of the program without its command',
  async t => {
    for (const argv of [['-V'], ['--version'], ['version'], ['-socket=/x', '-version']]) {
      const result = parseFlags({ program: 'prog run', usage: 'prog run [flags]', flags, argv, env: {} });
      t.match(result, { t: 'help', text: /^prog version \d/ }, argv.join(' '));
    }
    t.match(parse(['-socket', 'version']).values, { socket: 'version' }, 'a value is a value');
  },
);

t.test('whatever the words, the answer is values, help or a UsageError', async t => {
  const word = oneof(
    constantFrom(...Object.keys(flags).flatMap(name => [`-${name}`, `--${name}`, `-${name}=`])),
    constantFrom('--', '-', '---', '-=', '--=x', '-h', '', 'true', '0', '5m'),
    array(integer({ min: 0, max: 0xffff }), { maxLength: 8 }).map(units => String.fromCharCode(...units)),
    string({ maxLength: 8 }).map(text => `-${text}`),
  );
  assert(
    property(array(word, { maxLength: 6 }), string({ maxLength: 6 }), (argv, LIMIT) => {
      try {
        const result = parseFlags({ program: 'prog', usage: '', flags, argv, env: { LIMIT } });
        return result.t === 'help' || Object.keys(result.values).length === Object.keys(flags).length;
      } catch (error) {
        return error instanceof UsageError && error.message !== '' && !error.message.includes('internal');
      }
    }),
    { numRuns: 2000 },
  );
  t.pass('for random words');
});
