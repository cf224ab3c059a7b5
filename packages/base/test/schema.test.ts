// SPDX-License-Identifier: Apache-2.0
// A refusal by schema says where and what, and never shows the value.
import * as v from 'valibot';
import t from 'tap';
import { checkShape, jsonObject } from '../src/schema.js';

const shape = v.strictObject({
  name: v.string(),
  state: v.variant('t', [
    v.object({ t: v.literal('new') }),
    v.object({ t: v.literal('old'), mounts: v.array(v.object({ type: v.string() })) }),
  ]),
  count: v.optional(v.pipe(v.number(), v.integer('is no whole number'))),
  code: v.optional(v.pipe(v.string(), v.regex(/^a$/))),
});
const good = { name: 'x', state: { t: 'old', mounts: [{ type: 'bind' }] } };

t.test('a value that fits comes back as the schema says', async t => {
  t.strictSame(checkShape(shape, good), { t: 'value', value: good });
});

t.test('the first thing that is wrong is named by its path, without the value', async t => {
  const rows: readonly (readonly [unknown, string, string])[] = [
    ['SECRET', '', 'is a text, not an object'],
    [null, '', 'is null, not an object'],
    [{ ...good, name: 5 }, 'name', 'is a number, not a text'],
    [{ state: good.state }, 'name', 'is missing'],
    [
      { ...good, state: { t: 'old', mounts: [{ type: 'a' }, { type: ['SECRET'] }] } },
      'state.mounts[1].type',
      'is a list, not a text',
    ],
    [{ ...good, state: { t: 'old', mounts: {} } }, 'state.mounts', 'is an object, not a list'],
    [{ ...good, state: { t: 'SECRET' } }, 'state.t', 'is a text, not ("new" | "old")'],
    [{ ...good, SECRETS: 1 }, 'SECRETS', 'is a key that does not belong there'],
    [{ ...good, count: 1.5 }, 'count', 'is no whole number'],
    [{ ...good, code: 'SECRET' }, 'code', 'does not have the form it should'],
  ];
  for (const [value, where, what] of rows) {
    t.strictSame(checkShape(shape, value), { t: 'mismatch', where, what });
  }
  t.strictSame(checkShape(jsonObject, []), { t: 'mismatch', where: '', what: 'is a list, not an object' });
});
