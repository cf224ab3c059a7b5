// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { FrameDecoder } from '../src/frame-decoder.js';
import { encodeFrame } from '../src/frame.js';
import { bytesOf, vectors } from './support/vectors.js';
import type { FrameVector } from './support/vectors.js';

interface SeenFrame {
  length: number;
  streamId: number;
  type: number;
  flags: number;
  payload: Buffer | null;
}

interface Outcome {
  frames: SeenFrame[];
  outcome: string;
}

function decode(pieces: Iterable<Buffer>): Outcome {
  const decoder = new FrameDecoder();
  const frames: SeenFrame[] = [];
  let outcome = 'ok';
  for (const piece of pieces) {
    decoder.push(piece);
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) {
      if (frame.t === 'tls') return { frames, outcome: 'tls' };
      const { length, streamId, type, flags } = frame;
      if (frame.t === 'oversized') outcome = 'oversized';
      frames.push({
        length,
        streamId,
        type,
        flags,
        payload: frame.t === 'frame' ? Buffer.from(frame.payload) : null,
      });
    }
  }
  if (outcome === 'ok' && decoder.midFrame) outcome = 'incomplete';
  return { frames, outcome };
}

function expected(vector: FrameVector): Outcome {
  const frames = vector.frames.map(frame => ({
    ...frame,
    payload: frame.payload === null ? null : bytesOf(frame.payload),
  }));
  return { frames, outcome: vector.outcome };
}

/** Positions to cut at: all of them, or for long inputs those around the borders of its parts. */
function cutsOf(parts: readonly Buffer[], total: number): Iterable<number> {
  if (total <= 4096) return Array.from({ length: total - 1 }, (_, i) => i + 1);
  const cuts = new Set<number>();
  let border = 0;
  for (const part of parts) {
    for (let near = border - 12; near <= border + 12; near++) if (near > 0 && near < total) cuts.add(near);
    border += part.length;
  }
  return cuts.add(65_536).add(total - 1);
}

for (const vector of vectors('frames')) {
  t.test(`${vector.name}: ${vector.outcome}, because ${vector.reason}`, async t => {
    const parts = vector.input.map(bytesOf);
    const whole = Buffer.concat(parts);
    const want = expected(vector);
    const inOne = decode([whole]);
    if (!sameOutcome(inOne, want)) t.strictSame(inOne, want, 'in one piece');
    let cuts = 0;
    for (const cut of cutsOf(parts, whole.length)) {
      cuts++;
      const got = decode([whole.subarray(0, cut), whole.subarray(cut)]);
      if (!sameOutcome(got, want)) t.strictSame(got, want, `cut at ${cut}`);
    }
    t.ok(cuts > 0, `in two pieces, at ${cuts} cuts`);
    for (const size of [1, 2, 3, 7, 9, 10, 11, 4096, 65_536]) {
      if (whole.length / size > 200_000) continue;
      const pieces: Buffer[] = [];
      for (let at = 0; at < whole.length; at += size) pieces.push(whole.subarray(at, at + size));
      t.ok(sameOutcome(decode(pieces), want), `in pieces of ${size}`);
    }
  });
}

/** Equality without a diff, which is slow to build for payloads of 4 MiB. */
function sameOutcome(a: Outcome, b: Outcome): boolean {
  if (a.outcome !== b.outcome || a.frames.length !== b.frames.length) return false;
  return a.frames.every((frame, i) => {
    const other = b.frames[i];
    if (other === undefined || frame.streamId !== other.streamId || frame.type !== other.type) return false;
    if (frame.length !== other.length || frame.flags !== other.flags) return false;
    if (frame.payload === null || other.payload === null) return frame.payload === other.payload;
    return frame.payload.equals(other.payload);
  });
}

t.test('a frame that lies in one chunk is a view of it', async t => {
  const chunk = encodeFrame({ streamId: 1, type: 1 }, Buffer.from('payload'));
  const decoder = new FrameDecoder();
  decoder.push(chunk);
  const frame = decoder.next();
  if (frame?.t !== 'frame') throw new Error('no frame');
  t.equal(frame.payload.buffer, chunk.buffer);
  t.equal(frame.payload.byteOffset, chunk.byteOffset + 10);
});

t.test('a claimed length reserves no memory, and one-byte chunks are not kept as chunks', async t => {
  const decoders: FrameDecoder[] = [];
  const before = process.memoryUsage();
  for (let i = 0; i < 200; i++) {
    const decoder = new FrameDecoder();
    decoder.push(Buffer.from('00400000000000010100', 'hex'));
    for (let byte = 0; byte < 500; byte++) {
      decoder.push(Buffer.alloc(1, byte));
      if (decoder.next() !== null) throw new Error('a frame of 4 MiB came out of 500 bytes');
    }
    decoders.push(decoder);
  }
  const after = process.memoryUsage();
  const grown = after.arrayBuffers + after.external - before.arrayBuffers - before.external;
  t.ok(grown < 200 * 2 * 65_536 + 2 ** 23, `200 claims of 4 MiB with 500 bytes each took ${grown} bytes`);
  t.equal(decoders.length, 200);
});

t.test('several chunks may be pushed before the first frame is taken', async t => {
  const decoder = new FrameDecoder();
  const bytes = Buffer.concat(
    [1, 3, 5].map(streamId => encodeFrame({ streamId, type: 1 }, Buffer.alloc(20, streamId))),
  );
  for (let at = 0; at < bytes.length; at += 4) decoder.push(bytes.subarray(at, at + 4));
  const ids: number[] = [];
  for (let frame = decoder.next(); frame?.t === 'frame'; frame = decoder.next()) {
    t.ok(frame.payload.equals(Buffer.alloc(20, frame.streamId)));
    ids.push(frame.streamId);
  }
  t.strictSame(ids, [1, 3, 5]);
  t.notOk(decoder.midFrame);
});

t.test('after TLS was seen nothing else comes, whatever is pushed', async t => {
  const decoder = new FrameDecoder();
  decoder.push(Buffer.from('16030100f4010000f003', 'hex'));
  t.strictSame(decoder.next(), { t: 'tls' });
  decoder.push(encodeFrame({ streamId: 1, type: 1 }, Buffer.from('x')));
  t.strictSame(decoder.next(), { t: 'tls' });
});
