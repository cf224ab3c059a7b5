// SPDX-License-Identifier: Apache-2.0
import * as fc from 'fast-check';
import t from 'tap';
import {
  afterVarint,
  BAD,
  encodeBytesField,
  encodeVarint,
  FieldCursor,
  isWellFormed,
  MORE,
  readTag,
  readUint32,
  skipValue,
  skipVarint,
  varintLength,
  writeVarint,
} from '../src/wire.js';
import { spaced } from './support/hex.js';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

t.test('varints up to 32 bits are read, longer values are bad and shorter bytes want more', async t => {
  const read = (text: string): number => readUint32(hex(text), 0, hex(text).length);
  t.equal(read('00'), 0);
  t.equal(read('7f'), 127);
  t.equal(read('ac02'), 300);
  t.equal(read('ffffffff0f'), 0xffff_ffff);
  t.equal(read('ffffffff1f'), BAD, '2^33 - 1');
  t.equal(read('80'), MORE);
  t.equal(read(''), MORE);
  t.equal(read('80808080808080808000'), 0, 'ten bytes that say zero');
  t.equal(read('8080808080808080808000'), BAD, 'eleven');
  t.equal(read('ac02ff'), 300);
  t.equal(afterVarint, 2, 'and the position after it is told');
});

t.test('what is written is read back, at every length', async t => {
  for (const value of [0, 1, 127, 128, 16_383, 16_384, 2 ** 21, 2 ** 28, 2 ** 31, 2 ** 32 - 1]) {
    const bytes = Buffer.alloc(10);
    const end = writeVarint(bytes, 0, value);
    t.equal(end, varintLength(value));
    t.equal(readUint32(bytes, 0, end), value);
  }
});

t.test('skipping knows the longest varint', async t => {
  t.equal(skipVarint(hex('ffffffffffffffffff01'), 0, 10), 10);
  t.equal(skipVarint(hex('ffffffffffffffffff02'), 0, 10), BAD, '65 bits');
  t.equal(skipVarint(hex('ffff'), 0, 2), MORE);
});

t.test('values are skipped by wire type, within their bounds', async t => {
  const skip = (tag: number, text: string): number => skipValue(hex(text), 0, hex(text).length, tag);
  t.equal(skip(0x08, '01'), 1);
  t.equal(skip(0x09, '0102030405060708'), 8);
  t.equal(skip(0x09, '01020304050607'), MORE);
  t.equal(skip(0x0a, '02aabb'), 3);
  t.equal(skip(0x0a, '03aabb'), MORE);
  t.equal(skip(0x0d, '01020304'), 4);
  t.equal(skip(0x0d, '010203'), MORE);
  t.equal(skip(0x0b, '0c'), 1, 'an empty group');
  t.equal(skip(0x0b, spaced('0801 130814 0c')), BAD, 'a group whose inner group does not end properly');
  t.equal(skip(0x0b, spaced('0801 1314 0c')), 5, 'a group in a group');
  t.equal(skip(0x0b, '0801'), MORE);
  t.equal(skip(0x0c, ''), BAD);
  t.equal(skip(0x0e, ''), BAD);
  t.equal(readTag(hex('02'), 0, 1), BAD, 'field number zero');
});

t.test('a sequence of whole fields is well formed, and nothing else is', async t => {
  t.ok(isWellFormed(hex('')));
  t.ok(isWellFormed(hex('0801120161')));
  t.notOk(isWellFormed(hex('08011201')));
  t.notOk(isWellFormed(hex('08')));
  t.notOk(isWellFormed(hex('00')));
});

t.test('a varint is written as short as it goes, and a field with its tag and length', async t => {
  for (const value of [0, 1, 127, 128, 16_383, 16_384, 2 ** 28, 2 ** 31, 2 ** 32 - 1]) {
    t.equal(encodeVarint(value).length, varintLength(value));
    t.equal(readUint32(encodeVarint(value), 0, varintLength(value)), value);
  }
  t.equal(encodeBytesField(6, Buffer.from('ab')).toString('hex'), '32026162');
  t.equal(encodeBytesField(16, Buffer.alloc(128)).subarray(0, 4).toString('hex'), '82018001');
});

t.test('the fields of a message lie end to end, and each is where the cursor says', async t => {
  const field = fc.record({ number: fc.integer({ min: 1, max: 2 ** 29 - 1 }), value: fc.uint8Array() });
  fc.assert(
    fc.property(fc.array(field, { maxLength: 10 }), fields => {
      const bytes = Buffer.concat(fields.map(({ number, value }) => encodeBytesField(number, value)));
      const cursor = new FieldCursor(bytes, { plain: true });
      let last = 0;
      for (const { number, value } of fields) {
        if (!cursor.next() || cursor.start !== last || cursor.number !== number) return false;
        if (!Buffer.from(bytes.subarray(cursor.value, cursor.end)).equals(value)) return false;
        last = cursor.end;
      }
      return !cursor.next() && cursor.fault === null && last === bytes.length;
    }),
  );
  t.pass();
});

t.test('a cursor says what is wrong and whether more bytes could mend it, and stays there', async t => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['0200', 'field number 0', false],
    ['80', 'a tag is cut off', true],
    ['8a', 'a tag is cut off', true],
    ['ffffffff1f', 'a tag is over 32 bits', false],
    ['0a', 'a length is cut off', true],
    ['0a0261', 'field 1 runs past the end', true],
    ['0affffffff1f', 'a length is over 32 bits', false],
    ['0880', 'field 1 runs past the end', true],
    ['08ffffffffffffffffff02', 'the number in field 1 is over 64 bits', false],
    ['0901', 'field 1 runs past the end', true],
    ['0b0801', 'field 1 runs past the end', true],
    ['0c', 'wire type 4 in field 1', false],
    ['0f', 'wire type 7 in field 1', false],
  ];
  for (const [text, fault, short] of rows) {
    const cursor = new FieldCursor(hex(text));
    t.equal(cursor.next(), false, text);
    t.equal(cursor.next(), false);
    t.match({ fault: cursor.fault, short: cursor.short }, { fault, short }, text);
  }
});

t.test('a plain cursor refuses what protobuf allows and no encoder writes', async t => {
  const rows: readonly (readonly [string, string])[] = [
    ['0b0c', 'wire type 3 in field 1'],
    ['8a808080800000', 'a tag is over 32 bits'],
    ['0a818080808000ff', 'a length is over 32 bits'],
  ];
  for (const [text, fault] of rows) {
    t.equal(new FieldCursor(hex(text)).next(), true, text);
    const plain = new FieldCursor(hex(text), { plain: true });
    t.equal(plain.next(), false);
    t.equal(plain.fault, fault);
  }
});

t.test('four mebibytes of the smallest fields are stepped over without a heap to match', async t => {
  const cursor = new FieldCursor(Buffer.alloc(4_194_304, Buffer.from([0x0a, 0x00])));
  let fields = 0;
  while (cursor.next()) fields += 1;
  t.equal(fields, 2_097_152);
  t.equal(cursor.fault, null);
});
