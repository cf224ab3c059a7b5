// SPDX-License-Identifier: Apache-2.0
// Where the first JSON value of a text ends.
import { array, assert, integer, json, property, string } from 'fast-check';
import t from 'tap';
import { firstJsonValue } from '../src/first-json-value.js';

/** Every UTF-16 unit, also halves of characters; quotes and brackets more often than chance would have them. */
const anyText = array(integer({ min: -8, max: 0xffff })).map(units =>
  units.map(unit => (unit < 0 ? ('"\\{}[],1'[-1 - unit] ?? '') : String.fromCharCode(unit))).join(''),
);

t.test('a value is found at the head of any text', async t => {
  assert(
    property(json(), string(), (value, after) => {
      // A number goes on with any digit or letter, so something has to stand between.
      const found = firstJsonValue(`${value} ${after}`);
      return (
        found.t === 'value' &&
        found.end === value.length &&
        JSON.stringify(found.value) === JSON.stringify(JSON.parse(value))
      );
    }),
  );
  t.pass('for random values and texts');
});

t.test('whatever the text, it gives an answer', async t => {
  assert(property(anyText, text => ['value', 'bad'].includes(firstJsonValue(text).t)));
  t.pass('for random texts');
});
