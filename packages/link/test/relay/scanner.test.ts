// SPDX-License-Identifier: Apache-2.0
// The scanner against a model: however a stream of frames is cut, what passes and what does not stays the same.
import * as fc from 'fast-check';
import t from 'tap';
import { HEADER_LENGTH } from '@peerpod-tls/ttrpc';
import { FrameScanner, PASS, SKIP, STOP, TAKE, type FrameSide } from '../../src/relay/scanner.js';
import { dataFrame } from '../support/frames.js';

/** What the side below does with a frame, told by the frame's flags. */
const Fate = { pass: 0, skip: 1, take: 2, passOnceWhole: 3, stop: 4 } as const;

/** More than any chunk of these tests. */
const LENT_BYTES = 64 * 1024;

class Recorder implements FrameSide {
  readonly forwarded: Buffer[] = [];
  readonly taken: Buffer[] = [];
  readonly order: string[] = [];
  wholes: boolean[] = [];

  begin(): boolean {
    return true;
  }

  decide(bytes: Buffer, _view: DataView, offset: number, length: number, available: number): number {
    const total = HEADER_LENGTH + length;
    switch (bytes[offset + 9]) {
      case Fate.skip:
        return SKIP;
      case Fate.take:
        return available === total ? TAKE : total;
      case Fate.passOnceWhole:
        return available === total ? PASS : Math.min(total, available + 7);
      case Fate.stop:
        return STOP;
      default:
        return PASS;
    }
  }

  take(frame: Buffer): void {
    this.taken.push(Buffer.from(frame));
    this.order.push(`take ${frame.readUInt32BE(4)}`);
  }

  apart(): void {
    this.order.push('apart');
  }

  end(): void {}

  forward(bytes: Buffer, from: number, to: number, whole: boolean): void {
    this.forwarded.push(Buffer.from(bytes.subarray(from, to)));
    this.wholes.push(whole);
    this.order.push('forward');
  }
}

function scan(chunks: readonly Buffer[]): Recorder {
  const recorder = new Recorder();
  const scanner = new FrameScanner(recorder);
  const lent = Buffer.alloc(LENT_BYTES);
  for (const chunk of chunks) {
    chunk.copy(lent);
    scanner.feed(lent, chunk.length);
    // Whoever kept a view instead of a copy sees this.
    lent.fill(0xdb);
  }
  return recorder;
}

const frames = [
  dataFrame(1, Buffer.from('passes'), Fate.pass),
  dataFrame(3, Buffer.alloc(0), Fate.pass),
  dataFrame(5, Buffer.from('dropped'), Fate.skip),
  dataFrame(7, Buffer.from('taken whole'), Fate.take),
  dataFrame(9, Buffer.from('passes once it is whole, in steps'), Fate.passOnceWhole),
  dataFrame(11, Buffer.alloc(0), Fate.skip),
  dataFrame(13, Buffer.from('last'), Fate.pass),
];
const stream = Buffer.concat(frames);
const passing = Buffer.concat([0, 1, 4, 6].map(i => frames[i] ?? Buffer.alloc(0)));

t.test('every cut of a stream into two, and into pieces of one size, gives the same frames', async t => {
  const cuts: Buffer[][] = [];
  for (let at = 0; at <= stream.length; at++) cuts.push([stream.subarray(0, at), stream.subarray(at)]);
  for (let size = 1; size <= stream.length; size++) {
    const pieces: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) pieces.push(stream.subarray(at, at + size));
    cuts.push(pieces);
  }
  let wrong = 0;
  for (const pieces of cuts) {
    const { forwarded, taken } = scan(pieces);
    if (!Buffer.concat(forwarded).equals(passing)) wrong++;
    if (taken.length !== 1 || taken[0]?.equals(frames[3] ?? Buffer.alloc(0)) !== true) wrong++;
  }
  t.equal(wrong, 0);
  t.equal(cuts.length, stream.length * 2 + 1);
});

t.test('frames that pass are handed on in the very chunk they came in', async t => {
  const chunk = Buffer.concat([frames[0] ?? Buffer.alloc(0), frames[1] ?? Buffer.alloc(0)]);
  const seen: [Buffer, number, number][] = [];
  const recorder = new Recorder();
  recorder.forward = (bytes, from, to) => void seen.push([bytes, from, to]);
  new FrameScanner(recorder).feed(chunk, chunk.length);
  t.equal(seen.length, 1);
  t.equal(seen[0]?.[0], chunk, 'not a copy and not a view');
  t.same(seen[0]?.slice(1), [0, chunk.length]);
});

t.test('what came before a taken frame is handed on before it is taken', async t => {
  const { order } = scan([stream]);
  t.same(order, ['forward', 'take 7', 'forward', 'forward']);
});

t.test('the end of a run says whether a frame may follow it', async t => {
  const first = frames[0] ?? Buffer.alloc(0);
  t.same(scan([first.subarray(0, 12), first.subarray(12)]).wholes, [false, true]);
  t.same(scan([first]).wholes, [true]);
});

t.test('a stopped scanner reads nothing more', async t => {
  const { forwarded } = scan([Buffer.concat([dataFrame(1, Buffer.from('x'), Fate.stop), stream])]);
  t.same(forwarded, []);
});

t.test('a claim of four gigabytes holds no memory', async t => {
  const header = Buffer.from('ffffffff000000010302', 'hex');
  const before = process.memoryUsage().arrayBuffers;
  const scanner = new FrameScanner(new Recorder());
  for (let i = 0; i < 100; i++) scanner.feed(i === 0 ? header : Buffer.alloc(10), 10);
  t.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
});

t.test('any frames in any chunks come out as the model says', async t => {
  const frame = fc.record({ fate: fc.constantFrom(0, 1, 2, 3), size: fc.oneof(fc.nat(40), fc.nat(3_000)) });
  const property = fc.property(
    fc.array(frame, { maxLength: 20 }),
    fc.array(fc.integer({ min: 1, max: 700 })),
    (list, sizes) => {
      const made = list.map(({ fate, size }, i) => ({
        fate,
        bytes: dataFrame(2 * i + 1, Buffer.alloc(size, i), fate),
      }));
      const bytes = Buffer.concat(made.map(f => f.bytes));
      const pieces: Buffer[] = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = sizes[i] ?? 1_000;
        pieces.push(bytes.subarray(at, at + size));
        at += size;
      }
      const { forwarded, taken } = scan(pieces);
      const expected = made
        .filter(f => f.fate === Fate.pass || f.fate === Fate.passOnceWhole)
        .map(f => f.bytes);
      return (
        Buffer.concat(forwarded).equals(Buffer.concat(expected)) &&
        Buffer.concat(taken).equals(Buffer.concat(made.filter(f => f.fate === Fate.take).map(f => f.bytes)))
      );
    },
  );
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }));
});
