// SPDX-License-Identifier: Apache-2.0
// Standard base64 and nothing that only looks like it.
import { assert, property, uint8Array } from 'fast-check';
import t from 'tap';
import { decodeBase64 } from '../src/base64.js';

t.test('any bytes come back, also with line breaks', async t => {
  assert(
    property(uint8Array({ maxLength: 300 }), bytes => {
      const text = Buffer.from(bytes).toString('base64').replaceAll(/.{7}/g, '$&\r\n');
      return decodeBase64(text)?.equals(bytes) === true;
    }),
  );
  t.strictSame(decodeBase64(''), Buffer.alloc(0));
});

t.test('missing padding, padding inside, the URL alphabet and other text are not base64', async t => {
  for (const text of [
    'QQ',
    'QQ=',
    'Q===',
    'QQ==QQ==',
    'QQ=Q',
    '-_==',
    'a.bc',
    'ab\u00e9d',
    '====',
    '=',
    'QQ\0=',
  ])
    t.equal(decodeBase64(text), null, text);
});
