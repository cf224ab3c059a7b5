// SPDX-License-Identifier: Apache-2.0
// Credentials for registries: several documents become one, and nothing of them is in any message.
import t from 'tap';
import { MAX_AUTH_BYTES, mergeAuth } from '../src/auth.js';

const encode = (pair: string): string => Buffer.from(pair).toString('base64');
const document = (host: string, pair: string): string =>
  JSON.stringify({ auths: { [host]: { auth: encode(pair) } } });

t.test('documents become one; the later counts where both name a host', async t => {
  const merged = mergeAuth([
    document('a.example', 'u:old'),
    JSON.stringify({
      auths: { 'b.example': { username: 'u', password: 'p:q', email: 'e@example' } },
      credsStore: 'desktop',
    }),
    document('a.example', 'u:new'),
    document('__proto__', 'u:p'),
  ]);
  t.equal(
    merged,
    `{"auths":{"a.example":{"auth":"${encode('u:new')}"},"b.example":{"auth":"${encode('u:p:q')}"},` +
      `"__proto__":{"auth":"${encode('u:p')}"}}}`,
  );
  t.equal(mergeAuth([merged]), merged);
  t.equal(mergeAuth([]), '{"auths":{}}');
});

t.test('what cannot be used is refused by its number and host, without its secrets', async t => {
  const rows: readonly [unknown, RegExp][] = [
    ['S3CR3T', /document 2 is not a JSON object/],
    [['S3CR3T'], /not a JSON object/],
    [{ 'a.example': { auth: encode('u:S3CR3T') } }, /no table "auths"/],
    [{ auths: [] }, /no table "auths"/],
    [{ auths: { 'a.example': 'S3CR3T' } }, /host "a\.example": not a host with a table/],
    [{ auths: { '': {} } }, /host ""/],
    [{ auths: { h: { auth: 'S3CR3T!' } } }, /not base64 of user:password/],
    [{ auths: { h: { auth: encode('S3CR3T') } } }, /not base64 of user:password/],
    [{ auths: { h: { auth: encode(':S3CR3T') } } }, /not base64 of user:password/],
    [{ auths: { h: { identitytoken: 'S3CR3T' } } }, /neither "auth" nor/],
    [{ auths: { h: { username: 'a:b', password: 'S3CR3T' } } }, /a colon/],
  ];
  for (const [value, message] of rows) {
    t.throws(() => mergeAuth([document('h', 'u:p'), JSON.stringify(value)]), {
      code: 'ERR_USER_DATA_AUTH',
      message,
    });
    try {
      mergeAuth([JSON.stringify(value)]);
    } catch (error) {
      t.notMatch(String(error), /S3CR3T/);
    }
  }
  t.throws(() => mergeAuth(['{"auths":']), { message: /document 1 is not JSON/ });
});

t.test('more than a guest is given is refused with the hosts that take most', async t => {
  const exact = (length: number): string => document('h', `u:${'x'.repeat(length)}`);
  t.equal(mergeAuth([exact(9189)]).length <= MAX_AUTH_BYTES, true);
  t.throws(() => mergeAuth([document('small', 'u:p'), exact(9300)]), {
    code: 'ERR_USER_DATA_TOO_LARGE',
    message: /have 12\d{3} bytes, 12288 are allowed: "h" 12\d{3} bytes, "small" \d\d bytes/,
  });
});
