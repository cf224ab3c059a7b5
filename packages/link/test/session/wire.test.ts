// SPDX-License-Identifier: Apache-2.0
// Control frames as literals, and what is none.
import t from 'tap';
import {
  decodeControl,
  encodeAck,
  encodeEnd,
  encodeOpen,
  encodeOpened,
  LONGEST_CONTROL,
  type Opened,
} from '../../src/session/wire.js';

const session = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const instance = Buffer.from('ffeeddccbbaa99887766554433221100', 'hex');

t.test('an opening frame names session, process, count and age, and is the longest there is', async t => {
  const open = { t: 'resume', session, instance, received: 0x1_0000_0002, ageMs: 1_500 } as const;
  const frame = encodeOpen(open);
  t.equal(
    frame.toString('hex'),
    `0000002c00000000e001${session.toString('hex')}${instance.toString('hex')}0000000100000002000005dc`,
  );
  t.equal(frame.length, LONGEST_CONTROL);
  t.strictSame(decodeControl(frame), { t: 'open', open });
  const begin = { ...open, t: 'begin', received: 0, ageMs: 0 } as const;
  t.strictSame(decodeControl(encodeOpen(begin)), { t: 'open', open: begin });
});

t.test('an answer says new, resumed or refused and why', async t => {
  const common = { instance, graceMs: 60_000, received: 7 };
  const answers: Opened[] = [
    { t: 'new', ...common },
    { t: 'resumed', ...common },
    { t: 'refused', reason: 'unknown', ...common },
    { t: 'refused', reason: 'offset', ...common },
  ];
  for (const opened of answers)
    t.strictSame(decodeControl(encodeOpened(opened)), { t: 'opened', opened }, opened.t);
  t.equal(
    encodeOpened({ t: 'refused', reason: 'offset', ...common }).toString('hex'),
    `0000001d00000000e102${instance.toString('hex')}0000ea60000000000000000701`,
  );
});

t.test('acknowledgements and ends are small', async t => {
  t.equal(encodeAck(258).toString('hex'), '0000000800000000e2000000000000000102');
  t.strictSame(decodeControl(encodeAck(Number.MAX_SAFE_INTEGER)), {
    t: 'ack',
    received: Number.MAX_SAFE_INTEGER,
  });
  t.equal(encodeEnd(false).toString('hex'), '0000000000000000e300');
  t.strictSame(decodeControl(encodeEnd(false)), { t: 'end', over: false });
  t.strictSame(decodeControl(encodeEnd(true)), { t: 'end', over: true });
});

t.test(
  'what is no control frame is null: kind, variant, length, and a count beyond what a number holds',
  async t => {
    const changed = (frame: Buffer, at: number, value: number): Buffer => {
      frame.writeUInt8(value, at);
      return frame;
    };
    const ack = encodeAck(1);
    const opened = encodeOpened({ t: 'new', instance, graceMs: 1, received: 1 });
    const open = encodeOpen({ t: 'begin', session, instance, received: 1, ageMs: 0 });
    for (const frame of [
      changed(encodeAck(1), 8, 1),
      changed(encodeAck(1), 9, 1),
      changed(encodeAck(1), 10, 0xff),
      changed(encodeEnd(false), 9, 2),
      changed(encodeOpen({ t: 'begin', session, instance, received: 0, ageMs: 0 }), 9, 2),
      changed(encodeOpened({ t: 'new', instance, graceMs: 1, received: 0 }), 9, 3),
      changed(encodeOpened({ t: 'new', instance, graceMs: 1, received: 0 }), opened.length - 1, 3),
      ack.subarray(0, -1),
      opened.subarray(0, -1),
      open.subarray(0, -1),
      Buffer.concat([encodeEnd(false), Buffer.of(0)]),
    ])
      t.equal(decodeControl(frame), null, frame.toString('hex'));
  },
);
