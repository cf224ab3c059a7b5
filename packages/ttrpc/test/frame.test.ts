// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { encodeFrame, looksLikeTls, readHeader, writeHeader } from '../src/frame.js';
import { spaced } from './support/hex.js';

t.test('a frame is length, stream, type, flags and payload, in network order', async t => {
  const frame = encodeFrame({ streamId: 1, type: 1 }, Buffer.from('hello'));
  t.equal(frame.toString('hex'), spaced('00000005 00000001 01 00 68656c6c6f'));
  t.strictSame(readHeader(frame), { length: 5, streamId: 1, type: 1, flags: 0 });
});

t.test('a header is read and written at an offset', async t => {
  const bytes = Buffer.alloc(14, 0xee);
  const header = { length: 4_194_304, streamId: 0xffff_ffff, type: 3, flags: 5 };
  writeHeader(bytes, header, 2);
  t.equal(bytes.toString('hex'), spaced('eeee 00400000 ffffffff 03 05 eeee'));
  t.strictSame(readHeader(bytes, 2), header);
});

t.test('a payload over 4 MiB makes no frame', async t => {
  t.throws(() => encodeFrame({ streamId: 1, type: 1 }, Buffer.alloc(4_194_305)), {
    name: 'RangeError',
    message: /4194305 bytes is over the limit of 4194304/,
  });
  t.throws(
    () => writeHeader(Buffer.alloc(10), { length: 4_194_305, streamId: 1, type: 1, flags: 0 }),
    RangeError,
  );
  t.throws(
    () => encodeFrame({ streamId: -1, type: 1 }, Buffer.alloc(0)),
    RangeError,
    'nor does a negative id',
  );
});

t.test(
  'TLS is recognised by hello or alert, and nothing that could begin a frame is taken for it',
  async t => {
    const is = (hex: string): boolean => looksLikeTls(Buffer.from(hex, 'hex'));
    t.ok(is('160301020001'), 'a client hello');
    t.ok(is('160303007a02'), 'a server hello');
    t.ok(is('15030300020228'), 'an alert');
    t.notOk(is('1603010200'), 'five bytes do not tell');
    t.notOk(is('16030102000b'), 'a record that opens no handshake');
    t.notOk(is('160309020001'), 'a version that does not exist');
    t.notOk(is('000000050000000101'), 'a frame');
  },
);
