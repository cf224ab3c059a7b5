// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import {
  afterVarint,
  BAD,
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
