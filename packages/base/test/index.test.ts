// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import * as base from '../src/index.js';

t.test('the public names are these', async t => {
  t.strictSame(Object.keys(base).sort(), [
    'Backoff',
    'CodedError',
    'FileError',
    'KeyedMutex',
    'abortReason',
    'abortable',
    'anySignal',
    'atDate',
    'codeOf',
    'deadline',
    'hintOf',
    'makeDirectory',
    'makeSecretDirectory',
    'messageOf',
    'readSmallFile',
    'reasonOf',
    'sleep',
    'startTimer',
    'sweepSecretDirectory',
    'writeSecretFile',
    'writeSecretSet',
  ]);
});
