// SPDX-License-Identifier: Apache-2.0
// The log's lines, and the nets that keep secrets out of them.
import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { UsageError } from '../src/errors.js';
import { createLogger } from '../src/log.js';

function sink() {
  const lines: string[] = [];
  return { lines, destination: { write: (line: string) => void lines.push(line) } };
}

t.test('a line is JSON with the level as a word, an ISO time and the program', async t => {
  const { lines, destination } = sink();
  createLogger({ name: 'prog', destination }).info({ peer: 'x' }, 'peer met');
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  t.match(line, {
    level: 'info',
    name: 'prog',
    pid: process.pid,
    peer: 'x',
    msg: 'peer met',
    time: /^\d{4}-\d\d-\d\dT.*Z$/,
  });
  t.ok(lines[0]?.endsWith('\n'));
});

t.test('levels filter, and one that does not exist is refused naming those that do', async t => {
  const { lines, destination } = sink();
  const log = createLogger({ name: 'p', level: 'warn', destination });
  log.info('not this');
  log.warn('but this');
  t.equal(lines.length, 1);
  t.throws(() => createLogger({ name: 'p', level: 'loud' }), {
    code: 'ERR_USAGE',
    message: /"loud"/,
    hint: /trace, debug, info/,
  });
});

t.test('an error is logged with code, hint and causes, with a stack only when it has no code', async t => {
  const { lines, destination } = sink();
  const log = createLogger({ name: 'p', destination });
  log.error({ err: new UsageError('bad', 'do this') }, 'start failed');
  log.error({ err: new Error('bug', { cause: new Error('root') }) }, 'start failed');
  log.error({ err: new AggregateError([new UsageError('one')], 'many') }, 'start failed');
  const [coded, bug, many] = lines.map(line => (JSON.parse(line) as { err: Record<string, unknown> }).err);
  t.match(coded, { type: 'UsageError', code: 'ERR_USAGE', message: 'bad', hint: 'do this' });
  t.equal(coded?.['stack'], undefined);
  t.match(bug, { stack: /log\.test/, cause: { message: 'root' } });
  t.match(many, { errors: [{ code: 'ERR_USAGE', message: 'one' }] });
});

t.test('no private key reaches a line, wherever it was put', async t => {
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
  const body = pem.split('\n')[1] ?? '';
  const { lines, destination } = sink();
  const log = createLogger({ name: 'p', destination });
  log.info({ key: pem, tls: { key: pem, keyPem: pem } }, 'named fields');
  log.info({ a: { b: { c: { d: [pem, `x${pem}y${pem}z`] } } } }, 'deep');
  log.info(`in the text: ${pem} and after`);
  log.info({ err: new Error(`parse failed near ${pem}`) }, 'in an error');
  log.info({ cut: pem.slice(0, pem.length - 30) }, 'without its end');
  log.child({ material: pem }).info('in a child');
  log.info({ twice: JSON.stringify({ inner: pem }) }, 'quoted twice');
  for (const line of lines) {
    t.notOk(line.includes(body), 'no key bytes');
    t.match(line, /\[redacted\]/);
    t.doesNotThrow(() => JSON.parse(line) as unknown, 'still JSON');
  }
  t.match(lines[2], /and after/, 'the text around the key stays');
});

t.test('fields named like secrets are redacted at the top and one level down', async t => {
  const { lines, destination } = sink();
  const log = createLogger({ name: 'p', destination });
  log.info(
    { token: 'hunter2', request: { authorization: 'hunter2', password: 'hunter2' }, userData: 'hunter2' },
    'x',
  );
  t.notMatch(lines[0], /hunter2/);
});

t.test('the kind of a key is no secret', async t => {
  const { lines, destination } = sink();
  const log = createLogger({ name: 'p', destination });
  log.info({ leaf: { key: 'ecdsa-p256' }, key: 'rsa-2048', other: { key: Buffer.from('secret') } }, 'x');
  t.match(JSON.parse(lines[0] ?? ''), {
    leaf: { key: 'ecdsa-p256' },
    key: 'rsa-2048',
    other: { key: '[redacted]' },
  });
});

t.test('as text, one event is one line: time, level, event, then its fields', async t => {
  const { lines, destination } = sink();
  const log = createLogger({ name: 'prog', format: 'text', destination });
  log.info({ sandbox: 's1', ms: 12, ok: true, list: ['a'], gone: null }, 'pod started');
  t.match(
    lines[0],
    /^\d{4}-\d\d-\d\dT[\d:.]+Z INFO {2}pod started sandbox=s1 ms=12 ok=true list=\["a"\] gone=null\n$/,
  );
  log.warn({ reason: 'two words', mark: 'a=b', empty: '' }, 'odd');
  t.match(lines[1], /WARN {2}odd reason="two words" mark="a=b" empty=""\n$/);
  const inner = Object.assign(new Error('no\nluck'), { code: 'E_X', hint: 'try again' });
  log.error({ err: inner }, 'failed');
  t.match(
    lines[2],
    /ERROR failed err.type=Error err.message="no\\nluck" err.code=E_X err.hint="try again"\n$/,
  );
  log.info({ peer: 'a\u001b[2J\u2028\u202eb', 'ke\ny': 1 }, 'from a\r\n\u009bpeer');
  t.match(
    lines[3],
    /INFO {2}from a\\u000d\\u000a\\u009bpeer peer="a\\u001b\[2J\\u2028\\u202eb" ke\\u000ay=1\n$/,
  );
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  log.info({ token: 'SECRET', text: privateKey.export({ type: 'pkcs8', format: 'pem' }) }, 'hidden');
  t.match(lines[4], /INFO {2}hidden token=\[redacted\] text="\[redacted\]\\n"\n$/);
  t.equal(lines.length, 5);
});
