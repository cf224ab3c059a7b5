// SPDX-License-Identifier: Apache-2.0
// Control frames and calls in one stream, cut in every way.
import t from 'tap';
import { encodeFrame } from '@peerpod-tls/ttrpc';
import { Incoming } from '../../src/session/incoming.js';
import { encodeAck, encodeEnd, encodeOpen, type Control } from '../../src/session/wire.js';
import { bytesOf, dataFrame, requestFrame, responseFrame } from '../support/frames.js';

const id = Buffer.alloc(16, 7);
const open = encodeOpen({ t: 'begin', session: id, instance: id, received: 0, ageMs: 0 });
const calls = [requestFrame(1), dataFrame(1, bytesOf('y'.repeat(120))), requestFrame(3), responseFrame(9)];
const [first = open, second = open, third = open, fourth = open] = calls;
const stream = Buffer.concat([
  open,
  first,
  encodeAck(1),
  encodeAck(2),
  second,
  third,
  encodeAck(3),
  fourth,
  encodeEnd(false),
]);

class Side {
  readonly controls: Control[] = [];
  readonly chunks: Buffer[] = [];
  broken = '';
  goOn = true;
  onBytes(bytes: Buffer, length: number): void {
    this.chunks.push(Buffer.from(bytes.subarray(0, length)));
  }
  onControl(control: Control): boolean {
    this.controls.push(control);
    return this.goOn;
  }
  onBroken(reason: string): void {
    this.broken = reason;
  }
}

t.test('whatever the pieces, calls are handed on unchanged and control frames are taken out', async t => {
  for (let size = 1; size <= stream.length; size += 1) {
    const side = new Side();
    const incoming = new Incoming(side);
    for (let at = 0; at < stream.length; at += size) {
      const piece = Buffer.from(stream.subarray(at, at + size));
      incoming.feed(piece, piece.length);
      // What was lent is somebody else's afterwards.
      piece.fill(0xdb);
    }
    const kinds = side.controls.map(control => (control.t === 'ack' ? control.received : control.t));
    if (!Buffer.concat(side.chunks).equals(Buffer.concat(calls))) throw new Error(`pieces of ${size}`);
    t.strictSame(kinds, ['open', 1, 2, 3, 'end'], `pieces of ${size}`);
  }
});

t.test('calls without a control frame between them pass in the chunk they came in', async t => {
  const chunk = Buffer.concat(calls);
  const seen: Buffer[] = [];
  const incoming = new Incoming({
    onBytes: bytes => void seen.push(bytes),
    onControl: () => true,
    onBroken: () => {},
  });
  incoming.feed(chunk, chunk.length);
  t.equal(seen.length, 1);
  t.equal(seen[0], chunk);
});

t.test('a stream that was cut anywhere goes on where it was handed on to', async t => {
  const all = Buffer.concat(calls);
  for (let cut = 0; cut <= all.length; cut += 1) {
    const side = new Side();
    const before = new Incoming(side);
    before.feed(all, cut);
    const received = Buffer.concat(side.chunks).length;
    const after = new Incoming(side);
    after.goOn(before.left);
    const rest = Buffer.from(all.subarray(received));
    after.feed(rest, rest.length);
    if (!Buffer.concat(side.chunks).equals(all)) throw new Error(`cut at ${cut}`);
    t.equal(after.left, 0);
  }
});

t.test('what is no control frame of ours ends it, and nothing behind it is looked at', async t => {
  const cases: [Buffer, RegExp][] = [
    [encodeFrame({ streamId: 0, type: 1 }, Buffer.alloc(8)), /no control frame/],
    [encodeFrame({ streamId: 0, type: 0xe2 }, Buffer.alloc(45)), /control frame of 55 bytes/],
    [Buffer.from('ffffffff00000000e200', 'hex'), /control frame of 4294967305 bytes/],
  ];
  for (const [bad, words] of cases) {
    for (const size of [1, 7, 200]) {
      const bytes = Buffer.concat([first, bad, second]);
      const side = new Side();
      const incoming = new Incoming(side);
      for (let at = 0; at < bytes.length; at += size) {
        const piece = bytes.subarray(at, at + size);
        incoming.feed(piece, piece.length);
      }
      t.match(side.broken, words);
      t.strictSame(Buffer.concat(side.chunks), first);
      t.strictSame(side.controls, []);
    }
  }
});

t.test('a side that takes no more of it gets no more', async t => {
  const side = new Side();
  side.goOn = false;
  new Incoming(side).feed(stream, stream.length);
  t.equal(side.controls.length, 1);
  t.equal(side.chunks.length, 0);
});
