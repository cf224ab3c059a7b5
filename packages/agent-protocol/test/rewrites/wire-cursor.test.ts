// SPDX-License-Identifier: Apache-2.0
import * as fc from 'fast-check';
import t from 'tap';
import { encodeBytesField, encodeVarint, FieldCursor } from '../../src/rewrites/wire-cursor.js';
import { encodeModel, message, text, unknownField, varint } from '../wire-model.js';

t.test('a varint is written as short as it goes', async t => {
  for (const value of [0, 1, 127, 128, 16_383, 16_384, 2 ** 28, 2 ** 31, 2 ** 32 - 1]) {
    t.equal(Buffer.from(encodeVarint(value)).toString('hex'), varint(value).toString('hex'), String(value));
  }
  t.equal(encodeBytesField(6, Buffer.from('ab')).toString('hex'), '32026162');
});

t.test('the fields of a message lie end to end, and each is where the cursor says', async t => {
  fc.assert(
    fc.property(fc.array(unknownField, { maxLength: 10 }), fields => {
      const bytes = encodeModel([...fields, message(6, text(1, 'inner'))]);
      const cursor = new FieldCursor(bytes);
      const numbers: number[] = [];
      let last = 0;
      while (cursor.next()) {
        if (cursor.start !== last || cursor.value < cursor.lengthAt) return false;
        numbers.push(cursor.number);
        last = cursor.end;
      }
      const expected = [...fields.map(field => field.number), 6];
      return cursor.fault === null && last === bytes.length && numbers.join() === expected.join();
    }),
  );
  t.pass();
});

t.test('a cursor that met a fault stays there', async t => {
  const cursor = new FieldCursor(Buffer.from([0x02, 0x00, 0x0a, 0x00]));
  t.equal(cursor.next(), false);
  t.equal(cursor.fault, 'field number 0');
  t.equal(cursor.next(), false);
});

t.test('four mebibytes of the smallest fields are stepped over without a heap to match', async t => {
  const bytes = Buffer.alloc(4_194_304, Buffer.from([0x0a, 0x00]));
  const cursor = new FieldCursor(bytes);
  let fields = 0;
  while (cursor.next()) fields += 1;
  t.equal(fields, 2_097_152);
  t.equal(cursor.fault, null);
});
