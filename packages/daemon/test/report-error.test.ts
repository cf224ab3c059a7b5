// SPDX-License-Identifier: Apache-2.0
// What an error looks like on a terminal.
import { readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { DaemonError, UsageError } from '../src/errors.js';
import { reportError } from '../src/report-error.js';

function shown(error: unknown): string {
  const stream = new PassThrough();
  reportError(stream, 'prog', error);
  return String(stream.read());
}

function thrownBy(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

t.test('the fact on one line, the way out on the next', async t => {
  t.equal(shown(new UsageError('-x is wrong', 'leave it out')), 'prog: -x is wrong\n  leave it out\n');
  t.equal(shown(new UsageError('-x is wrong')), 'prog: -x is wrong\n');
});

t.test('causes follow, unless the message has their words already', async t => {
  const cause = new Error('ENOSPC: no space left', { cause: new Error('disk sda is full') });
  t.equal(
    shown(new DaemonError('ERR_SOCKET_LISTEN', 'cannot write /x', { cause, hint: 'make room' })),
    'prog: cannot write /x\n  because: ENOSPC: no space left\n  because: disk sda is full\n  make room\n',
  );
  t.equal(
    shown(new DaemonError('ERR_SOCKET_LISTEN', 'cannot write: full', { cause: new Error('full') })),
    'prog: cannot write: full\n',
  );
});

t.test('an endless chain of causes ends', async t => {
  const error = new DaemonError('ERR_SOCKET_LISTEN', 'm');
  const a = new Error('a');
  a.cause = new Error('b', { cause: a });
  error.cause = a;
  t.equal(shown(error).split('\n').length, 5);
});

t.test('a stack is shown only for what nobody foresaw', async t => {
  t.match(shown(new TypeError('oops')), /^prog: TypeError: oops\n\s+at /);
  t.match(shown(thrownBy(() => Buffer.alloc(-1))), /^prog: RangeError \[ERR_OUT_OF_RANGE\].*\n\s+at /);
  t.notMatch(shown(new UsageError('oops')), / at /);
  t.notMatch(shown(thrownBy(() => readFileSync('/nowhere'))), / at /, 'a missing file is no bug');
});

t.test('several failures are listed', async t => {
  const all = new AggregateError([new UsageError('one', 'hint one'), new UsageError('two')], 'both failed');
  t.equal(shown(all), 'prog: both failed\n  one\n  hint one\n  two\n');
});

t.test('what is no error is shown too, and nothing moves the cursor', async t => {
  t.equal(shown('plain\u001b[2J text\r\nmore'), 'prog: plain [2J text more\n');
  t.equal(shown(undefined), 'prog: undefined\n');
  t.equal(shown(new UsageError('bad \u0007\u009b name')), 'prog: bad   name\n');
});
